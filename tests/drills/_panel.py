"""A whole panel as its own processes, with database, Redis and mail server; and its customers."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2 as httpx

from derpman.kit.errors import ProofNeeded
from derpman.kit.puzzles import BITS, HEADER, zero_bits
from tests.system.fleet import Server
from tests.system.processes import Process, run, spawn, wait_until
from tests.system.services import MariaDB, Redis
from tests.system.smtp import Catcher

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
PARTS = ("servers", "dispatcher", "tasks", "beat")
PORTS = (20000, 20999)
PASSWORD = "seven-tall-ships-sail"


class Refused(Exception):
    """The panel answered with an error."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status = status
        self.code = str(body.get("error", {}).get("code"))
        self.body = body
        super().__init__(f"{status} {body}")


def _work(puzzle: str) -> str:
    """Solve a puzzle, as the page does by itself."""
    answers = (f"{puzzle}:{number}" for number in itertools.count())
    return next(answer for answer in answers if zero_bits(answer) >= BITS)


@dataclass
class Account:
    """Somebody who is logged in."""

    panel: Panel
    id: int
    email: str
    token: str
    extra: dict[str, Any] = field(default_factory=dict[str, Any])

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        return self.panel.call("GET", path, token=self.token, params=params)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        return self.panel.call("POST", path, token=self.token, json=body)

    def text(self, path: str, **params: Any) -> str:
        return self.panel.raw("GET", path, token=self.token, params=params).text


class Panel:
    """Production's shape on one machine: MariaDB, Redis, one API process, four background parts."""

    def __init__(
        self,
        *,
        embedded: bool = False,
        host: str = "127.0.0.1",
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="derpman-panel-"))
        self.port = _free_port()
        self.url = f"http://{host}:{self.port}"
        self.mail: Catcher
        self.mariadb: MariaDB | None = None
        self.redis: Redis | None = None
        self._services = contextlib.ExitStack()
        self._embedded = embedded
        self._host = host
        self._more = environment or {}
        self._parts: dict[str, Process] = {}
        self._environment: dict[str, str] = {}
        self._client = httpx.Client(base_url=self.url, timeout=30)
        self.admin: Account
        self.password = PASSWORD  # the admin's

    def __enter__(self) -> Self:
        try:
            self._set_up()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _set_up(self) -> None:
        settings = {
            "DATA_DIR": str(self.folder / "data"),
            "BUILD_DIR": str(BUILD),
            "LISTEN_HOST": self._host,
            "LISTEN_PORT": str(self.port),
            "PUBLIC_URL": self.url,
            "LOG_JSON": "true",
            "SMTP_SECURITY": "none",
        }
        self.mail = self._services.enter_context(Catcher())
        settings |= {"SMTP_HOST": self.mail.host, "SMTP_PORT": str(self.mail.port)}
        if not self._embedded:
            self.mariadb = self._services.enter_context(MariaDB())
            self.redis = self._services.enter_context(Redis())
            settings |= {"DATABASE_URL": self.mariadb.fresh(), "REDIS_URL": self.redis.fresh()}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("DERPMAN_")}
        own = {f"DERPMAN_{name}": value for name, value in settings.items()}
        self._environment = {**inherited, **own, **self._more}
        self._fill()
        self.start("api", *PARTS)
        self.wait_until_up()
        self.admin = self.log_in("admin@example.com")

    def _fill(self) -> None:
        self.cli("db", "upgrade")
        made = self.cli("admin", "create", "drill-admin", "admin@example.com", "--password-stdin",
                        text=PASSWORD + "\n")  # fmt: skip
        assert "drill-admin" in made

    def close(self) -> None:
        """End every process and service, and remove the folder."""
        self._client.close()
        for process in self._parts.values():
            with contextlib.suppress(Exception):
                process.stop()
        self._services.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def database_url(self) -> str:
        own = self._environment.get("DERPMAN_DATABASE_URL")
        return own or f"sqlite:///{self.folder / 'data' / 'derpman.sqlite'}"

    # processes

    def cli(self, *words: str, text: str | None = None) -> str:
        """Run `derpman …` to its end; return what it printed."""
        return run(
            [sys.executable, "-m", "derpman", *words], env=self._environment, text=text, seconds=120
        ).stdout

    def start(self, *names: str) -> None:
        """Start parts: `api` or one of PARTS."""
        for name in names:
            words = ["serve"] if name == "api" else ["worker", "--only", name]
            self._parts[name] = spawn(
                [sys.executable, "-m", "derpman", *words],
                log=self.folder / f"{name}.log",
                env=self._environment,
            )

    def kill(self, *names: str) -> None:
        """kill -9 parts of the panel."""
        for name in names:
            self._parts[name].kill()

    @property
    def parts(self) -> list[str]:
        return list(self._parts)

    def alive(self, name: str) -> bool:
        return self._parts[name].alive()

    def restart_dead(self) -> list[str]:
        """Start the parts that died, as systemd would; return their names."""
        dead = [name for name in self._parts if not self.alive(name)]
        self.start(*dead)
        return dead

    def pid(self, name: str) -> int:
        return self._parts[name].pid

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def wait_until_up(self) -> None:
        """Wait until the API answers."""
        wait_until(self.answers, 60, "the API answers")

    def answers(self) -> bool:
        try:
            return self._client.get("/api/finance/plans").status_code == 200
        except httpx.TransportError:
            return False

    # HTTP

    def raw(self, method: str, path: str, *, token: str = "", **more: Any) -> httpx.Response:
        headers = more.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        return self._client.request(method, path, headers=headers, **more)

    def call(self, method: str, path: str, *, token: str = "", **more: Any) -> dict[str, Any]:
        """Call the API as the web page does; Refused for anything but success."""
        answer = self.raw(method, path, token=token, **more)
        if token and answer.json().get("error", {}).get("code") == ProofNeeded.code:
            self.call("POST", "/api/user/prove", token=token, json={"password": self.password})
            answer = self.raw(method, path, token=token, **more)
        body = answer.json()
        if answer.status_code >= 400 or body.get("success") is not True:
            raise Refused(answer.status_code, body)
        return body

    def log_in(self, email: str, password: str = PASSWORD) -> Account:
        body = {"email": email, "password": password}
        answer = self.call("POST", "/api/user/login", json=body)
        me = self.call("GET", "/api/user/me", token=answer["token"])
        return Account(self, me["user"]["id"], email, answer["token"])

    # people

    def customer(self, name: str, email: str | None = None) -> Account:
        """Register somebody, verify his address by the mailed code, and log him in."""
        email = email or f"{name}@example.com"
        wish = {"username": name, "email": email, "password": PASSWORD}
        before = len(self.mail.to(email))
        self._register(wish)
        mails = wait_until(
            lambda: self.mail.to(email) if len(self.mail.to(email)) > before else [],
            30,
            f"the mail to {email}",
        )
        plain = mails[-1].mail.get_body(("plain",))
        assert plain is not None
        code = re.search(r"\b\d{6}\b", plain.get_content())
        assert code is not None
        self.call("POST", "/api/user/verify", json={"email": email, "code": code[0]})
        return self.log_in(email)

    def _register(self, wish: dict[str, str]) -> None:
        """Register as the page does: who asks for much mail from one network works for it."""
        try:
            self.call("POST", "/api/user/register", json=wish)
        except Refused as refused:
            if refused.code != "access.work_needed":
                raise
            answer = _work(refused.body["error"]["params"]["puzzle"])
            self.call("POST", "/api/user/register", json=wish, headers={HEADER: answer})

    def serials(self, days: int = 30, count: int = 1) -> list[str]:
        made = self.admin.post("/api/serial/generate", duration_days=days, count=count)
        return made["serial_numbers"]

    # servers

    def add_server(self, server: Server, key: str, *, region: str | None = None) -> int:
        """Add a server over SSH with root's key; return its id at once."""
        ssh = {"user": "root", "private_key": key}
        added = self.admin.post(
            "/api/server/add",
            ip=server.address,
            region=region or f"region-{server.name}",
            port_from=PORTS[0],
            port_to=PORTS[1],
            ssh=ssh,
        )
        return added["server_id"]

    def server(self, server_id: int) -> dict[str, Any]:
        return self.admin.get(f"/api/server/{server_id}")["server"]

    def wait_for_servers(self, server_ids: Sequence[int], seconds: float = 120) -> None:
        """Wait until the servers are healthy; a failed one ends the wait with its steps."""

        def done() -> bool:
            states = {server_id: self.server(server_id)["status"] for server_id in server_ids}
            failed = [server_id for server_id, status in states.items() if status == "failed"]
            if failed:
                raise AssertionError(
                    f"servers {failed} failed: {self.admin.get(f'/api/server/{failed[0]}')}"
                )
            return set(states.values()) == {"healthy"}

        wait_until(done, seconds, "the servers are healthy")


def activate(customer: Account, code: str, *, poll: float = 0.01, seconds: float = 60) -> float:
    """Activate a serial; return the seconds from posting it to three ready relays and the ACL."""
    began = time.monotonic()
    rental = customer.post("/api/user/activate", code=code)["rental"]
    while not rental["is_ready"]:
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not ready after {seconds} s: {rental}")
        time.sleep(poll)
        rental = customer.get("/api/user/rental")["rental"]
    took = time.monotonic() - began
    customer.extra["rental"] = rental
    return took


def timed(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
