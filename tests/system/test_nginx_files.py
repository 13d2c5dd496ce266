"""Nginx serves the pages' files as docs/web.md has it, and passes the rest on."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2 as httpx
import pytest

from tests.system.processes import ROOT, spawn, wait_until
from tests.system.services import HOST, free_port

pytestmark = pytest.mark.system
MARK = "__CSP_NONCE__"


class Panel(BaseHTTPRequestHandler):
    """Says which address it was asked for."""

    def do_GET(self) -> None:
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an Nginx with the documented part, pages beside it and a panel behind."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if nginx is None:
        pytest.skip("there is no nginx: tools/setup.sh debian")
    folder = tmp_path_factory.mktemp("nginx")
    [part] = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs" / "web.md").read_text(), re.DOTALL)
    dist = folder / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text(f'<meta nonce="{MARK}"><style nonce="{MARK}"></style>')
    (dist / "favicon.svg").write_text("<svg/>")
    (dist / "assets" / "index-1.js").write_text("run()")
    panel = ThreadingHTTPServer((HOST, 0), Panel)
    threading.Thread(target=panel.serve_forever, daemon=True).start()
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(
        f"""
        daemon off; pid {folder}/pid; error_log {folder}/errors.log;
        events {{}}
        http {{
            include /etc/nginx/mime.types;
            access_log off;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fast; uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            upstream derpman {{ server {HOST}:{panel.server_address[1]}; }}
            server {{ listen {HOST}:{port}; {part.replace("/srv/derpman/web/dist", str(dist))} }}
        }}
        """
    )
    folder.chmod(0o755)
    words = [nginx, "-e", str(folder / "start.log"), "-c", str(config)]
    # As root its workers would be somebody else, who may not look into our folder.
    process = spawn([*words, "-g", "user root;"], log=folder / "nginx.log")
    url = f"http://{HOST}:{port}"

    def answers() -> bool:
        assert process.alive(), process.tail()
        try:
            return httpx.get(url, timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        wait_until(answers, 20, "nginx answers")
        yield url
    finally:
        process.stop()
        panel.shutdown()
        panel.server_close()


def test_pages_get_a_nonce_of_their_own_and_files_are_kept(site: str) -> None:
    seen: set[str] = set()
    for path in ("/", "/admin/users", "/acl?way=merge"):
        page = httpx.get(f"{site}{path}")
        nonces = set(re.findall(r'nonce="([^"]+)"', page.text))
        assert len(nonces) == 1, page.text
        assert MARK not in page.text
        assert f"'nonce-{nonces.copy().pop()}'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        seen |= nonces
    assert len(seen) == 3
    file = httpx.get(f"{site}/assets/index-1.js")
    assert file.text == "run()"
    assert "immutable" in file.headers["cache-control"]
    assert httpx.get(f"{site}/assets/no.js").status_code == 404
    assert httpx.get(f"{site}/favicon.svg").headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize(
    "path",
    ["/api/user/me?x=1", "/derp/abc.json", "/docs", "/openapi.json", "/healthz", "/readyz"],
)
def test_what_is_not_a_page_reaches_the_panel(site: str, path: str) -> None:
    assert httpx.get(f"{site}{path}").text == path
