"""A day of metrics of 300 servers, from a simulated feed, on MariaDB: rows, bytes, time, trends."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import bindparam, update

from bench._bench import Bench
from bench._ground import Ground
from bench.expiry import PRODUCTION, system_of
from derpman.kit.work import Edge, UnitOfWork
from derpman.monitoring import measuring, queries, service
from derpman.monitoring.queries import Step
from derpman.monitoring.service import PANEL, Sample
from derpman.servers.models import ServerLink
from tests.drills._races import fake_servers
from tests.system.services import MariaDB

SERVERS = 300
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
ROUND = timedelta(seconds=measuring.EVERY_SECONDS)
ROUNDS_OF_A_DAY = 24 * 3600 // measuring.EVERY_SECONDS
TABLES = ("monitoring_logs", "monitoring_fives", "monitoring_hours")
LOOKS = ("node", "tcp", "tls", "stun")
PEERS = 5
PAGE = ["host.load", "host.cpu", "host.memory", "host.disk", "net.sent", "net.received", "users"]


def measure(bench: Bench, _ground: Ground) -> None:
    with MariaDB() as database, TemporaryDirectory() as folder:
        for setting in PRODUCTION:
            database.execute(f"SET GLOBAL {setting}")
        system = system_of(database.fresh(), Path(folder), clock=lambda: BEGIN)
        edge = system.edge()
        servers = edge(fake_servers, count=SERVERS, capacity=1000)
        rounds = bench.scaled(ROUNDS_OF_A_DAY, least=20)
        took: list[float] = []
        samples = 0
        with bench.step(f"{rounds} rounds of {len(servers)} servers, a half minute each"):
            for number in range(rounds):
                at = replace(edge, clock=lambda number=number: BEGIN + number * ROUND)
                at(_report, servers, number)
                began = time.monotonic()
                samples += at(measuring.measure)
                if number % 2 == 0:
                    samples += at(_latencies, servers)
                took.append(time.monotonic() - began)
        beside = f"{len(servers)} servers, {rounds} half minutes"
        bench.figure("monitoring_samples", samples, "", reference=beside)
        bench.figure("monitoring_round_s", statistics.median(took), "s", reference="every 30 s")
        per_sample = sum(took) / samples * 1000
        bench.figure("monitoring_ms_per_sample", per_sample, "ms", reference=beside)
        tenth = max(1, len(took) // 10)
        grown = statistics.median(took[-tenth:]) / statistics.median(took[:tenth])
        bench.figure("monitoring_round_at_end_to_begin", grown, "", reference="1: no slower")
        for name in TABLES:
            rows, size = _size(database, name)
            bench.figure(f"{name}_rows", rows, "")
            bench.figure(f"{name}_mb", size / 1e6, "MB")
        later = replace(edge, clock=lambda: BEGIN + rounds * ROUND)
        for name, seconds in _trends(later, servers[len(servers) // 2]).items():
            bench.figure(f"trend_{name}_s", seconds, "s", at_most=0.1, reference=beside)
        began = time.monotonic()
        deleted = replace(edge, clock=lambda: BEGIN + rounds * ROUND + service.KEEP)(
            service.forget_old
        )
        bench.figure(
            "monitoring_forget_s", time.monotonic() - began, "s", reference=f"{deleted} values"
        )
        system.engine.dispose()


def _report(work: UnitOfWork, servers: list[int], number: int) -> None:
    """Have every node report, with figures that move as a day's do."""
    rows = [
        {
            "id": server_id,
            "figures": json.dumps(
                {
                    "load1": (number + server_id) % 97 / 50,
                    "cpu_fraction": (number * 7 + server_id) % 100 / 100,
                    "memory_bytes": 2**31,
                    "memory_used_bytes": 2**30 + number % 1000 * 2**18,
                    "disk_bytes": 40 * 10**9,
                    "disk_free_bytes": 30 * 10**9,
                    "net_sent_bytes": number * 30 * (10**6 + server_id),
                    "net_received_bytes": number * 30 * 10**6,
                    "rate_bytes_per_second": 10**6 + number,
                }
            ),
        }
        for server_id in servers
    ]
    connection = work.session.connection()
    connection.execute(
        update(ServerLink)
        .where(ServerLink.server_id == bindparam("id"))
        .values(host=bindparam("figures"), contact_at=work.now),
        rows,
    )


def _latencies(work: UnitOfWork, servers: list[int]) -> int:
    """What the panel sees of each server once a minute, and five others of it."""
    samples = [
        Sample(server_id, f"{PANEL}.{look}", 20 + server_id % 30)
        for server_id in servers
        for look in LOOKS
    ]
    samples += [
        Sample(server_id, service.seen_by(servers[(index + step) % len(servers)], "tcp"), 30.0)
        for index, server_id in enumerate(servers)
        for step in range(1, PEERS + 1)
    ]
    service.record(work, samples)
    return len(samples)


def _size(database: MariaDB, table: str) -> tuple[int, int]:
    find = "SELECT table_schema, data_length + index_length FROM information_schema.tables"
    [[schema, _]] = database.execute(f"{find} WHERE table_name = '{table}'")
    database.execute(f"ANALYZE TABLE {schema}.{table}")
    [[rows]] = database.execute(f"SELECT COUNT(*) FROM {schema}.{table}")  # noqa: S608 # our own
    [[_, size]] = database.execute(f"{find} WHERE table_name = '{table}'")
    return int(rows), int(size)


def _trends(edge: Edge, server_id: int) -> dict[str, float]:
    """The slowest of ten of each trend that a page asks for."""
    found: dict[str, float] = {}

    def ask(name: str, server: int | None, metrics: list[str], step: Step, hours: int) -> None:
        took: list[float] = []
        for _ in range(10):
            began = time.monotonic()
            edge.read(
                queries.trends,
                server_id=server,
                metrics=metrics,
                since=edge.clock() - timedelta(hours=hours),
                step=step,
            )
            took.append(time.monotonic() - began)
        found[name] = max(took)

    ask("day_by_five_minutes", server_id, PAGE, Step.FIVE, 24)
    ask("month_by_hours", server_id, PAGE, Step.HOUR, 24 * 31)
    ask("year_by_days", server_id, PAGE, Step.DAY, 24 * 365)
    ask("system_day", None, list(measuring.SYSTEM_METRICS), Step.FIVE, 24)
    return found
