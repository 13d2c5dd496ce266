"""The sweep that ends expired rentals: a thousand due among a million users, on MariaDB."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import event, update

from bench._bench import Bench
from bench._ground import Ground
from derpman.acl.models import AclVersion
from derpman.acl.states import AclStatus
from derpman.containers.models import Placement, PortClaim, UserServer
from derpman.finance import service as finance
from derpman.kit.clock import Clock, utc_now
from derpman.kit.db import engine_for
from derpman.kit.secrets import Vault
from derpman.kit.wake import LocalWake
from derpman.kit.work import UnitOfWork
from derpman.migrations import upgrade
from derpman.rentals import queries
from derpman.rentals.models import Rental
from derpman.servers.models import AtMargin, Server, ServerLink, Transport
from derpman.servers.states import ServerStatus
from derpman.settings import Settings
from derpman.users.models import User
from derpman.wiring import System
from derpman.worker import celery_app
from tests.system.people import BLOCK, put, put_users, relay_row
from tests.system.services import MariaDB

USERS = 1_000_000
DUE = 1000
SERVERS = 30
PRODUCTION = ("innodb_buffer_pool_size=536870912", "innodb_log_file_size=268435456")


def measure(bench: Bench, _ground: Ground) -> None:
    with MariaDB() as database, TemporaryDirectory() as folder:
        for setting in PRODUCTION:  # tests start it small
            database.execute(f"SET GLOBAL {setting}")
        system = system_of(database.fresh(), Path(folder))
        users, due = bench.scaled(USERS, least=10 * BLOCK), bench.scaled(DUE, least=100)
        with bench.step(f"fill a database with {users} users, {due} of them due"):
            _fill(system, users, due)
        app = celery_app(system)
        app.loader.import_default_modules()
        _, found = _timed(lambda: system.edge().read(queries.expired, limit=2 * due))
        assert len(found) == due
        asked: list[str] = []
        event.listen(system.engine, "before_cursor_execute", lambda *all_: asked.append(all_[2]))
        before, processor = _memory_mb(), time.process_time()
        seconds, _ = _timed(app.tasks["rentals.end_expired"])
        processor = time.process_time() - processor
        assert system.edge().read(queries.expired, limit=1) == []
        beside = (
            f"{users / 1_000_000:g} million users, {due} due, {len(asked)} statements; "
            f"{processor:.2f} s of it on our processor"
        )
        bench.figure("expiry_sweep_s", seconds, "s", at_most=2, reference=beside)
        idle, _ = _timed(app.tasks["rentals.end_expired"])
        bench.figure("expiry_sweep_idle_s", idle, "s", at_most=0.1, reference="nothing is due")
        bench.figure(
            "expiry_sweep_memory_mb",
            _memory_mb(),
            "MB",
            at_most=250,
            reference=f"the whole worker process; {before:.0f} MB before the sweep",
        )
        system.engine.dispose()


def system_of(url: str, folder: Path, clock: Clock = utc_now) -> System:
    """Return an installation on a new database, with its tables and plans."""
    key = Fernet.generate_key().decode()
    settings = Settings(
        _env_file=None,  # pyright: ignore[reportCallIssue] # pydantic-settings takes it
        data_dir=folder,
        database_url=url,  # pyright: ignore[reportArgumentType] # becomes a SecretStr
        secret_keys=key,  # pyright: ignore[reportArgumentType] # becomes a SecretStr
    )
    engine = engine_for(url)
    upgrade(engine)
    system = System(settings, engine, Vault([key]), LocalWake(folder), clock)
    system.edge()(finance.seed_plans)
    return system


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    began = time.monotonic()
    result = action()
    return time.monotonic() - began, result


def _memory_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    raise RuntimeError("no memory is told")


def _fill(system: System, users: int, due: int) -> None:
    edge = system.edge()
    edge(_put_servers)
    put_users(edge, users)
    for first in range(1, due + 1, 200):
        edge(_put_due, range(first, min(first + 200, due + 1)), users // due)


def _put_servers(work: UnitOfWork) -> None:
    put(work, Server, [_server(number, work.now) for number in range(1, SERVERS + 1)])
    put(
        work,
        ServerLink,
        [{"server_id": number, "applied_generation": 0} for number in range(1, SERVERS + 1)],
    )


def _put_due(work: UnitOfWork, numbers: range, apart: int) -> None:
    """Have rentals be due, spread over all, with their relays, ports, rights and ACLs."""
    ids = [number * apart for number in numbers]
    over = work.now - timedelta(seconds=30)
    work.session.execute(update(Rental).where(Rental.id.in_(ids)).values(expires_at=over))
    work.session.execute(update(User).where(User.id.in_(ids)).values(rental_expiry=over))
    placements = [
        _placement(3 * number + slot - 3, number * apart, slot, over, work.now)
        for number in numbers
        for slot in (1, 2, 3)
    ]
    put(work, Placement, placements)
    put(
        work,
        PortClaim,
        [
            {"server_id": one["server_id"], "port": one["port"], "placement_id": one["id"]}
            for one in placements
        ],
    )
    put(
        work,
        UserServer,
        [
            {"user_id": one["user_id"], "server_id": one["server_id"], "created_at": work.now}
            for one in placements
        ],
    )
    put(work, AclVersion, [_version(id_, work.now) for id_ in ids])


def _server(number: int, now: datetime) -> dict[str, Any]:
    ip = f"10.0.0.{number}"
    return {
        "id": number,
        "ip": ip,
        "present_ip": ip,
        "public_ip": ip,
        "region": f"region-{number % 7}",
        "load": 0.0,
        "status": ServerStatus.HEALTHY,
        "transport": Transport.FAKE,
        "created_at": now,
        "updated_at": now,
        "port_from": 20000,
        "port_to": 29999,
        "capacity": 500,
        "relay_count": 3 * DUE // SERVERS,
        "desired_generation": 1,
        "billing_day": 1,
        "at_margin": AtMargin.STOP,
        "ssh_port": 22,
    }


def _placement(
    number: int, user_id: int, slot: int, expires_at: datetime, now: datetime
) -> dict[str, Any]:
    server_id = number % SERVERS + 1
    return relay_row(number, user_id, server_id, slot, expires_at, now) | {
        "address": f"10.0.0.{server_id}",
        "port": 20000 + number // SERVERS,
    }


def _version(user_id: int, now: datetime) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "rental_id": user_id,
        "number": 1,
        "document": "{}",
        "digest": "-",
        "status": AclStatus.CURRENT,
        "reason": "activation",
        "created_at": now,
        "expires_at": now + timedelta(days=32),
    }
