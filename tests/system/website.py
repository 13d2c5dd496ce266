"""The demo as processes of its own with a mail server, for tests in a browser.

    python -m tests.system.website COMMAND…

runs the command with these in its environment, and ends with its exit status:

    WEB_URL      where the site is
    WEB_LOGINS   a JSON file: name of a demo account to its password
    WEB_MAILBOX  a folder: every mail that arrived, as JSON with `to`, `subject` and `text`
    WEB_DEVICE   how to start a Tailscale client: see `tests.system.device`
    WEB_SERVERS  bare servers that answer SSH: JSON of `ip` and root's `key`; only as root
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2 as httpx
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.system.binaries import build
from tests.system.fleet import Fleet
from tests.system.processes import ROOT, Impossible, Process, spawn, wait_until
from tests.system.services import HOST, free_port
from tests.system.smtp import Catcher

LANGUAGES = 2
START_SECONDS = 180  # a busy machine of two cores


class Mailbox(Catcher):
    """A mail server that also writes each message into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        super().__init__()

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        answer = await super().handle_DATA(server, session, envelope)
        message = self.messages[-1]
        body = message.mail.get_body(("plain",))
        text = {
            "to": list(message.recipients),
            "subject": str(message.mail["Subject"]),
            "text": body.get_content().replace("\r\n", "\n") if body else "",
        }
        name = self._folder / f"{len(self.messages):05}"
        name.with_suffix(".part").write_text(json.dumps(text, ensure_ascii=False))
        name.with_suffix(".part").rename(name.with_suffix(".json"))
        return answer


def _answers(url: str, process: Process) -> bool:
    if not process.alive():
        raise AssertionError(f"the site ended:\n{process.tail()}")
    try:
        return httpx.get(f"{url}/api/finance/plans", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _servers(stack: ExitStack) -> dict[str, str]:
    """Bare servers to be added, one for each language; none where this machine has no fleet."""
    try:
        fleet = stack.enter_context(Fleet(servers=LANGUAGES, clients=0))
    except Impossible as error:
        print(f"no servers to add: {error}", file=sys.stderr)
        return {}
    key = fleet.admin_key.read_text()
    return {"WEB_SERVERS": json.dumps([{"ip": one.address, "key": key} for one in fleet.servers])}


@contextmanager
def website(**more: str) -> Generator[dict[str, str]]:
    """Start the demo, with more settings; give what a test needs to know of it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="derpman-web-")))
        mailbox = folder / "mails"
        mailbox.mkdir()
        mail = stack.enter_context(Mailbox(mailbox))
        url = f"http://{HOST}:{free_port()}"
        settings = {
            "DATA_DIR": str(folder / "data"),
            "BUILD_DIR": os.environ.get("DERPMAN_BUILD_DIR", str(ROOT / "build")),
            "WEB_DIR": str(ROOT / "web" / "dist"),
            "LISTEN_HOST": HOST,
            "LISTEN_PORT": url.rpartition(":")[2],
            "PUBLIC_URL": url,
            "METERING_SECONDS": "5",
            "SMTP_HOST": mail.host,
            "SMTP_PORT": str(mail.port),
            "SMTP_SECURITY": "none",
            **more,
        }
        process = spawn(
            [sys.executable, "-m", "derpman", "run", "--demo"],
            log=folder / "site.log",
            env={f"DERPMAN_{name}": value for name, value in settings.items()},
        )
        stack.callback(process.stop, 30)
        try:
            wait_until(lambda: _answers(url, process), START_SECONDS, f"{url} answers")
            yield {
                "WEB_URL": url,
                "WEB_LOGINS": str(folder / "data" / "demo-logins.json"),
                "WEB_MAILBOX": str(mailbox),
                "WEB_DEVICE": f"{sys.executable} -m tests.system.device",
            }
        finally:
            log = ROOT / "build" / "log" / "website.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(process.output())


def main() -> int:
    """Run the command of the arguments beside a site."""
    build()  # the stories' Tailscale client: minutes the first time, which no page waits for
    with ExitStack() as stack:
        known = stack.enter_context(website()) | _servers(stack)
        return subprocess.run(sys.argv[1:], env=os.environ | known, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
