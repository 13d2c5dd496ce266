"""What one API process answers in a second, at 10,000 and 100,000 users, on MariaDB and Redis."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2 as httpx
from sqlalchemy import event, text
from starlette.testclient import TestClient

from bench._bench import LOAD, Bench, build_load, result_of
from bench._ground import Ground
from bench.expiry import PRODUCTION
from derpman.access import service as access
from derpman.api import create_app
from derpman.kit.work import Role, UnitOfWork
from derpman.users import service as users
from tests.drills._races import Installation
from tests.system.people import BLOCK, put_users
from tests.system.processes import Process, spawn, wait_until
from tests.system.services import MariaDB, Redis, free_port

FEW, MANY = 10_000, 100_000
CONNECTIONS = 16
SECONDS = 5.0
LIST = "/api/user/list?limit=20"
OVERVIEW = "/api/admin/overview"
PAGES = {
    "list": (LIST, 200.0),
    "search": ("/api/user/list?limit=20&search=user7", 150.0),
    "dashboard": (OVERVIEW, 800.0),
    "acl_address": ("", 1000.0),
}
"""Addresses, and how many of each in a second are the bound at 100,000 users."""
SAME = 0.7
"""The share of what is answered at 10,000 users that must be left at 100,000."""
MOST_STATEMENTS = 5
MOST_MB = 200.0


@dataclass(frozen=True)
class Flood:
    """What came of as many requests as could be answered."""

    per_s: float
    p99_ms: float
    wrong: int
    trouble: str


def measure(bench: Bench, _ground: Ground) -> None:
    build_load()
    seconds = max(1.0, SECONDS * bench.size)
    found: dict[int, dict[str, Flood]] = {}
    with MariaDB() as database, Redis() as redis, TemporaryDirectory() as folder:
        for setting in PRODUCTION:
            database.execute(f"SET GLOBAL {setting}")
        with _environment():
            bare = _bare(database.fresh, Path(folder) / "bare", seconds)
        for full in (FEW, MANY):
            count = bench.scaled(full, least=2 * BLOCK)
            home = Path(folder) / str(full)
            with _environment(), bench.step(f"{count} users, asked as fast as it goes"):
                os.environ["DERPMAN_REDIS_URL"] = redis.fresh()
                made = Installation(database.fresh(), home)
                put_users(made.edge, count)
                made.edge(_continue_after, count)
                found[full] = _asked(bench, made, seconds, is_last=full == MANY)
    for name, (_, bound) in PAGES.items():
        few, many = found[FEW][name], found[MANY][name]
        beside = (
            f"p99 {many.p99_ms:.0f} ms; bare endpoint {bare['nothing'].per_s:.0f}/s, "
            f"with one row {bare['row'].per_s:.0f}/s"
        )
        bench.figure(f"{name}_per_s", many.per_s, "/s", at_least=bound, reference=beside)
        ratio = many.per_s / few.per_s
        beside = f"{few.per_s:.0f}/s at {FEW} users"
        bench.figure(f"{name}_many_to_few", ratio, "", at_least=SAME, reference=beside)
    wrong = [one for size in found.values() for one in size.values() if one.wrong]
    bench.figure(
        "requests_wrong",
        sum(one.wrong for one in wrong),
        "answers",
        at_most=0,
        reference=wrong[0].trouble if wrong else "",
    )


@contextlib.contextmanager
def _environment() -> Generator[None]:
    """Take back afterwards what an installation says of itself to its processes."""
    kept = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _asked(bench: Bench, made: Installation, seconds: float, *, is_last: bool) -> dict[str, Flood]:
    tokens = made.edge(_people)
    made.add_servers(3, capacity=1000)
    if is_last:
        bench.figure(
            "list_statements", _statements(made, tokens["root"]), "", at_most=MOST_STATEMENTS
        )
    url, process = made.serve()
    try:
        address, etag = _address(url, tokens)
        found: dict[str, Flood] = {}
        for name, (path, _) in PAGES.items():
            if name == "acl_address":
                found[name] = _flood(address, {"If-None-Match": etag}, 304, seconds)
            else:
                found[name] = _flood(url + path, _bearer(tokens["root"]), 200, seconds)
        if is_last:
            beside = "after all of these requests"
            bench.figure("api_mb", _memory_mb(process), "MB", at_most=MOST_MB, reference=beside)
    finally:
        process.stop()
    return found


def _continue_after(work: UnitOfWork, last: int) -> None:
    """Have accounts that are opened from now on get ids after those that were written."""
    work.session.execute(text(f"ALTER TABLE registrations AUTO_INCREMENT = {last + 1}"))


def _people(work: UnitOfWork) -> dict[str, str]:
    """Add an owner and a customer; return their tokens."""
    tokens: dict[str, str] = {}
    for name, role in (("root", Role.SUPER_ADMIN), ("carl", Role.USER)):
        made = users.create(
            work,
            username=f"{name}_",
            email=f"{name}@example.com",
            password_hash="-",
            role=role,
            locale="en",
        )
        tokens[name] = access.open_session(work, user_id=made.id)
    return tokens


def _address(url: str, tokens: dict[str, str]) -> tuple[str, str]:
    """Have a customer activate a serial and make his secret address; return it and its tag."""

    def call(who: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = httpx.post(url + path, json=body, headers=_bearer(tokens[who]), timeout=30)
        answer.raise_for_status()
        return answer.json()

    made = call("root", "/api/serial/generate", {"duration_days": 30, "count": 1})
    call("carl", "/api/user/activate", {"code": made["serial_numbers"][0]})
    address = str(call("carl", "/api/acl/address", {})["address"]["url"])
    address = url + address[address.index("/derp/") :]
    return address, httpx.get(address, timeout=30).headers["ETag"]


def _statements(made: Installation, token: str) -> int:
    """Count what a list asks of the database, its caller's log-in known already."""
    asked: list[str] = []
    with TestClient(create_app(made.system)) as client:
        client.get(LIST, headers=_bearer(token)).raise_for_status()
        event.listen(
            made.system.engine, "before_cursor_execute", lambda *all_: asked.append(all_[2])
        )
        client.get(LIST, headers=_bearer(token)).raise_for_status()
    return len(asked)


def _bare(fresh: Callable[[], str], home: Path, seconds: float) -> dict[str, Flood]:
    """The least that FastAPI does, alone and with one row of a database."""
    made = Installation(fresh(), home)
    put_users(made.edge, BLOCK)
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"
    process = spawn(
        [sys.executable, "-m", "bench.bare"],
        log=home / "bare.log",
        env={
            "BARE_PORT": port,
            "BARE_DATABASE": made.environment["DERPMAN_DATABASE_URL"],
        },
    )
    try:
        wait_until(lambda: _is_up(f"{url}/nothing"), 30, "the bare application answers")
        return {name: _flood(f"{url}/{name}", {}, 200, seconds) for name in ("nothing", "row")}
    finally:
        process.stop()


def _is_up(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _flood(url: str, headers: dict[str, str], status: int, seconds: float) -> Flood:
    wish = {
        "url": url,
        "headers": headers,
        "status": status,
        "connections": CONNECTIONS,
        "seconds": seconds,
    }
    done = subprocess.run(
        [LOAD, "flood"], input=json.dumps(wish), capture_output=True, text=True, check=True
    )
    told = result_of(done.stdout)
    return Flood(told["per_s"], told["p99_ms"], told["wrong"], told.get("trouble", ""))


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _memory_mb(process: Process) -> float:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    raise RuntimeError("no memory is told")
