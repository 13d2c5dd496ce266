"""The audit of dependencies, against an emulator of OSV's published protocol."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Osv(BaseHTTPRequestHandler):
    """Emulates `querybatch` and `vulns`; `flawed` says which package has which flaws."""

    flawed: dict[tuple[str, str], list[str]] = {}
    withdrawn: set[str] = set()
    queries: list[dict[str, Any]] = []

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        assert len(asked) <= 1000, "the database takes no more at once"
        self.queries += asked
        self._tell({"results": [self._of(one) for one in asked]})

    def do_GET(self) -> None:
        flaw = self.path.rpartition("/")[2]
        about = {"id": flaw, "summary": f"about {flaw}", "aliases": ["CVE-2026-1"]}
        self._tell(
            about | ({"withdrawn": "2026-01-01T00:00:00Z"} if flaw in self.withdrawn else {})
        )

    def _of(self, query: dict[str, Any]) -> dict[str, Any]:
        """Tell the first flaw, and the others on the next page."""
        ids = self.flawed.get((query["package"]["ecosystem"], query["package"]["name"]), [])
        shown = ids[1:] if query.get("page_token") else ids[:1]
        told: dict[str, Any] = {"vulns": [{"id": one} for one in shown]} if shown else {}
        if len(ids) > 1 and not query.get("page_token"):
            told["next_page_token"] = "more"
        return told

    def _tell(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the base class's
        pass


@pytest.fixture
def osv() -> Iterator[str]:
    Osv.flawed, Osv.withdrawn, Osv.queries = {}, set(), []
    server = HTTPServer(("127.0.0.1", 0), Osv)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(5)


def audit(url: str, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, ROOT / "tools/audit.py", *words],
        env={"OSV_URL": url, "PATH": "/usr/local/bin:/usr/bin:/bin"},
        check=False,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_every_locked_version_is_asked_about(osv: str):
    status, said = audit(osv)
    assert (status, "0 known flaws" in said) == (0, True), said
    asked = {(one["package"]["ecosystem"], one["package"]["name"]) for one in Osv.queries}
    assert {("PyPI", "fastapi"), ("npm", "react"), ("Go", "tailscale.com")} <= asked
    assert all(one["version"][0].isdigit() for one in Osv.queries)


def test_a_known_flaw_fails_and_is_named_whatever_page_it_is_on(osv: str):
    Osv.flawed = {("PyPI", "fastapi"): ["GHSA-1", "GHSA-2"], ("npm", "react"): ["GHSA-3"]}
    Osv.withdrawn = {"GHSA-3"}
    status, said = audit(osv)
    assert status == 1
    assert "2 known flaws" in said
    assert "PyPI fastapi" in said
    assert "GHSA-2, CVE-2026-1: about GHSA-2" in said


def test_without_a_database_it_says_so_and_fails_only_where_it_is_needed():
    nobody = "http://127.0.0.1:1"
    assert audit(nobody)[0] == 0
    status, said = audit(nobody, "--needed")
    assert status == 2
    assert "left out" in said
