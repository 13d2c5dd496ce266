"""One metering round for many active relays on MariaDB: what it takes, asks and keeps in memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Table, event, insert

from bench._bench import Bench
from bench._ground import Ground
from derpman.containers.models import Placement
from derpman.finance import service as finance
from derpman.finance.models import OverQuota
from derpman.kit.clock import utc_now
from derpman.kit.db import Base, engine_for
from derpman.kit.secrets import Vault
from derpman.kit.wake import LocalWake
from derpman.kit.work import Edge, Role, UnitOfWork
from derpman.migrations import upgrade
from derpman.rentals.models import Rental
from derpman.rentals.states import RentalStatus
from derpman.servers.models import AtMargin, Server, ServerLink, Transport
from derpman.servers.states import ServerStatus
from derpman.settings import Settings
from derpman.traffic import rollups
from derpman.traffic.models import RelayMeter, TrafficPeriod
from derpman.traffic.rounds import Rounds
from derpman.traffic.states import PeriodStatus
from derpman.users.models import User
from derpman.users.states import UserStatus
from derpman.wiring import System
from tests.system.people import relay_row
from tests.system.services import MariaDB

BOUNDS = {10_000: 0.6, 100_000: 4.0}
RELAYS_PER_SERVER = 100
PRODUCTION = ("innodb_buffer_pool_size=536870912", "innodb_log_file_size=268435456")
"""Half a gigabyte of memory, as a database for so many customers has at least."""
ROUNDS = 5
GIGABYTE = 1_000_000_000
PERIOD = timedelta(days=30)


def measure(bench: Bench, _ground: Ground) -> None:
    with MariaDB() as database:
        for setting in PRODUCTION:  # tests start it small
            database.execute(f"SET GLOBAL {setting}")
        for full, bound in BOUNDS.items():
            with TemporaryDirectory() as folder:
                relays = bench.scaled(full, least=1000)
                _measure(bench, _system(database.fresh(), Path(folder)), relays, full, bound)


def _system(url: str, folder: Path) -> System:
    key = Fernet.generate_key().decode()
    settings = Settings(
        _env_file=None,  # pyright: ignore[reportCallIssue] # pydantic-settings takes it
        data_dir=folder,
        database_url=url,  # pyright: ignore[reportArgumentType] # becomes a SecretStr
        secret_keys=key,  # pyright: ignore[reportArgumentType] # becomes a SecretStr
    )
    engine = engine_for(url)
    upgrade(engine)
    system = System(settings, engine, Vault([key]), LocalWake(folder))
    system.edge()(finance.seed_plans)
    return system


def _measure(bench: Bench, system: System, relays: int, full: int, bound: float) -> None:
    edge = system.edge()
    asked: list[str] = []
    event.listen(system.engine, "before_cursor_execute", lambda *all_: asked.append(all_[2]))
    with bench.step(f"fill a database with {relays} relays"):
        edge(_fill, relays)
    before = _memory_mb()
    rounds = Rounds(edge, every_seconds=30, line_bytes_per_second=1_250_000_000)
    told = Telling(relays)
    told.tell(rounds)
    cold, _ = _timed(rounds.write)
    took: list[float] = []
    statements = 0
    for _ in range(ROUNDS):
        told.tell(rounds)
        asked.clear()
        seconds, moved = _timed(rounds.write)
        assert moved == relays
        took.append(seconds)
        statements = len(asked)
    name = f"metering_round_{full // 1000}k"
    beside = f"{ROUNDS} rounds, longest {max(took):.2f} s; the first one of a worker {cold:.1f} s"
    bench.figure(f"{name}_s", sorted(took)[ROUNDS // 2], "s", at_most=bound, reference=beside)
    beside = f"{relays / 1000:g} thousand relays"
    most = 6 * relays / 1000 + 20
    bench.figure(f"{name}_statements", statements, "", at_most=most, reference=beside)
    bench.figure(f"{name}_memory_mb", _memory_mb() - before, "MB", at_most=250)
    hour, _ = _timed(lambda: _roll(edge))
    bench.figure(f"hour_{full // 1000}k_s", hour, "s")
    system.engine.dispose()


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    began = time.monotonic()
    result = action()
    return time.monotonic() - began, result


def _roll(edge: Edge) -> None:
    after: int | None = 0
    while after is not None:
        after = edge(rollups.roll_relays, after=after)


def _memory_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


class Telling:
    """What the nodes of all servers tell: every relay has sent more each time."""

    def __init__(self, relays: int) -> None:
        self._relays = relays
        self._sent = 0

    def tell(self, rounds: Rounds) -> None:
        self._sent += 1_000_000
        now = utc_now().isoformat()
        for server in range(self._relays // RELAYS_PER_SERVER):
            first = server * RELAYS_PER_SERVER + 1
            rounds.collect(
                server + 1,
                {
                    "at": now,
                    "whole": True,
                    "relays": [
                        _relay(relay, self._sent + relay)
                        for relay in range(first, first + RELAYS_PER_SERVER)
                    ],
                    "host": {"net_sent_bytes": self._sent * RELAYS_PER_SERVER},
                },
            )


def _relay(relay: int, sent: int) -> dict[str, Any]:
    start = f"{relay:064x}-2026-01-01T00:00:00Z"
    return {"id": relay, "start_id": start, "sent_bytes": sent, "total_sent_bytes": sent}


def _fill(work: UnitOfWork, relays: int) -> None:
    now = work.now
    plan = finance.plan_of_days(work, 30)
    customers = -(-relays // 3)

    def put(table: type[Base], rows: list[dict[str, Any]]) -> None:
        assert isinstance(table.__table__, Table)
        for start in range(0, len(rows), 2000):
            work.session.execute(insert(table), rows[start : start + 2000])

    put(User, [_user(number, now) for number in range(1, customers + 1)])
    put(Server, [_server(number, now) for number in range(1, relays // RELAYS_PER_SERVER + 1)])
    put(
        ServerLink,
        [
            {"server_id": number, "contact_at": now, "applied_generation": 0}
            for number in range(1, relays // RELAYS_PER_SERVER + 1)
        ],
    )
    put(Rental, [_rental(number, plan.id, now) for number in range(1, customers + 1)])
    put(TrafficPeriod, [_period(number, now) for number in range(1, customers + 1)])
    put(Placement, [_placement(number, now) for number in range(1, relays + 1)])
    put(RelayMeter, [_meter(number, now) for number in range(1, relays + 1)])


def _user(number: int, now: datetime) -> dict[str, Any]:
    name = f"user{number}"
    return {
        "id": number,
        "username": name,
        "username_key": name,
        "email": f"{name}@example.com",
        "email_key": f"{name}@example.com",
        "password": "-",
        "role": Role.USER,
        "status": UserStatus.ACTIVE,
        "locale": "en",
        "created_at": now,
        "version": 1,
    }


def _server(number: int, now: datetime) -> dict[str, Any]:
    ip = f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"
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
        "capacity": 200,
        "relay_count": RELAYS_PER_SERVER,
        "desired_generation": 1,
        "billing_day": 1,
        "at_margin": AtMargin.STOP,
        "ssh_port": 22,
        "traffic_bytes": 0,
        "month_traffic_bytes": 0,
        "memory_bytes": 0,
        "version": 1,
    }


def _rental(number: int, plan_id: int, now: datetime) -> dict[str, Any]:
    return {
        "id": number,
        "user_id": number,
        "open_user_id": number,
        "plan_id": plan_id,
        "status": RentalStatus.ACTIVE,
        "started_at": now,
        "expires_at": now + PERIOD,
        "region_base": 931,
        "traffic_bytes": 200 * GIGABYTE,
        "rate_bytes_per_second": 0,
        "device_limit": 5,
        "over_quota": OverQuota.THROTTLE,
        "throttle_bytes_per_second": 125_000,
        "period": 1,
        "period_from": now,
        "version": 1,
    }


def _period(number: int, now: datetime) -> dict[str, Any]:
    return {
        "rental_id": number,
        "user_id": number,
        "number": 1,
        "status": PeriodStatus.OPEN,
        "open_rental_id": number,
        "starts_at": now,
        "planned_at": now,
        "ends_at": now + PERIOD,
        "plan_bytes": 200 * GIGABYTE,
        "granted_bytes": 0,
        "at_quota": OverQuota.THROTTLE,
        "throttle_bytes_per_second": 125_000,
        "base_bytes": 0,
        "used_bytes": 0,
        "level": 0,
        "act_at_bytes": 160 * GIGABYTE,
        "version": 1,
    }


def _meter(number: int, now: datetime) -> dict[str, Any]:
    return {
        "placement_id": number,
        "user_id": (number - 1) // 3 + 1,
        "rental_id": (number - 1) // 3 + 1,
        "server_id": (number - 1) // RELAYS_PER_SERVER + 1,
        "share_bytes": 60 * GIGABYTE,
        "read_at": now,
    }


def _placement(number: int, now: datetime) -> dict[str, Any]:
    customer, slot = (number - 1) // 3 + 1, (number - 1) % 3 + 1
    server_id = (number - 1) // RELAYS_PER_SERVER + 1
    return relay_row(number, customer, server_id, slot, now + PERIOD, now) | {
        "address": "10.0.0.1",
        "port": 20000 + number % 10000,
    }
