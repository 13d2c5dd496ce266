"""Every half minute each server and the system are measured; trends are sums kept as they come."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update

from derpman.kit.work import Edge, UnitOfWork
from derpman.monitoring import measuring, queries, service
from derpman.monitoring.models import MonitoringFive, MonitoringHour, MonitoringLog
from derpman.monitoring.queries import Step
from derpman.monitoring.service import Sample
from derpman.servers.models import ServerLink
from tests.conftest import MovableClock, Person

HOST = {
    "load1": 0.5,
    "cpu_fraction": 0.25,
    "memory_bytes": 1000,
    "memory_used_bytes": 400,
    "disk_bytes": 100,
    "disk_free_bytes": 75,
    "net_sent_bytes": 1_000_000,
    "net_received_bytes": 5000,
    "rate_bytes_per_second": 123,
}


@pytest.fixture
def report(edge: Edge, clock: MovableClock) -> Callable[..., None]:
    """Have a server's node report its host."""

    def report(server_id: int, **figures: Any) -> None:
        def write(work: UnitOfWork) -> None:
            work.session.execute(
                update(ServerLink)
                .where(ServerLink.server_id == server_id)
                .values(host=json.dumps({**HOST, **figures}), contact_at=work.now)
            )

        edge(write)

    return report


def values(edge: Edge, server_id: int | None) -> dict[str, float]:
    def read(work: UnitOfWork) -> dict[str, float]:
        rows = work.session.scalars(
            select(MonitoringLog)
            .where(MonitoringLog.server_id == server_id)
            .order_by(MonitoringLog.id)
        )
        return {row.metric: row.value for row in rows}

    return edge.read(read)


def test_a_server_is_measured_by_what_its_node_reported_last(
    edge: Edge, clock: MovableClock, add_server: Callable[..., int], report: Callable[..., None]
):
    first, second = add_server(), add_server()
    report(first)
    edge(measuring.measure)
    found = values(edge, first)
    assert found["host.load"] == 0.5
    assert found["host.cpu"] == 0.25
    assert found["host.memory"] == 0.4
    assert found["host.disk"] == 0.25
    assert found["relays.rate"] == 123
    assert found["users"] == 0
    assert "net.sent" not in found, "a rate needs two readings"
    assert values(edge, second) == {}
    assert values(edge, None)["system.servers"] == 1
    clock.advance(seconds=30)
    report(first, net_sent_bytes=1_300_000, net_received_bytes=5000)
    edge(measuring.measure)
    assert values(edge, first)["net.sent"] == 10_000
    assert values(edge, first)["net.received"] == 0
    clock.advance(seconds=30)
    report(first, net_sent_bytes=7, net_received_bytes=6000)  # it was started anew
    edge(measuring.measure)
    assert values(edge, first)["net.sent"] == 10_000, "the counter began again: nothing is said"
    clock.advance(seconds=90)
    assert edge(measuring.measure) == len(measuring.SYSTEM_METRICS), "its report is old"


def test_a_round_costs_the_same_statements_for_many_servers(
    edge: Edge,
    add_server: Callable[..., int],
    report: Callable[..., None],
    statements: list[str],
):
    for _ in range(2):
        report(add_server())
    edge(measuring.measure)
    statements.clear()
    edge(measuring.measure)
    few = len(statements)
    for _ in range(10):
        report(add_server())
    statements.clear()
    edge(measuring.measure)
    assert len(statements) == few <= 8, "\n".join(statements)


def test_trends_by_every_step_are_what_the_values_add_up_to(
    edge: Edge, clock: MovableClock, add_server: Callable[..., int]
):
    server = add_server()
    clock.now = datetime(2026, 3, 30, 15, 50, tzinfo=UTC)  # ten to midnight in Beijing
    began = clock.now
    for minute in range(0, 3000, 7):
        clock.now = began + timedelta(minutes=minute)
        edge(service.record, [Sample(server, "host.load", minute), Sample(None, "system.mails", 1)])

    def points(step: Step, server_id: int | None = server) -> list[queries.Point]:
        return edge.read(
            queries.trends,
            server_id=server_id,
            metrics=["host.load", "system.mails"],
            since=began - timedelta(days=1),
            step=step,
        )

    for step in Step:
        found = points(step)
        assert sum(one.samples for one in found) == 429, step
        mean = sum(one.mean * one.samples for one in found) / 429
        assert mean == pytest.approx(sum(range(0, 3000, 7)) / 429, abs=0.01)
        assert max(one.most for one in found) == 2996
        assert [one.at for one in found] == sorted(one.at for one in found)
    assert len(points(Step.FIVE)) > len(points(Step.HOUR)) == 51
    assert len(points(Step.DAY)) == 4, "30 March, 31, 1 April, 2 in Beijing"
    assert len(points(Step.MONTH)) == 2
    assert {one.metric for one in points(Step.DAY, None)} == {"system.mails"}


def test_values_go_after_two_days_and_sums_when_their_time_is_over(
    edge: Edge, clock: MovableClock, add_server: Callable[..., int]
):
    server = add_server()

    def left(work: UnitOfWork) -> list[int]:
        tables = (MonitoringLog, MonitoringFive, MonitoringHour)
        return [work.session.scalar(select(func.count()).select_from(one)) or 0 for one in tables]

    edge(service.record, [Sample(server, "host.load", 1.0)])
    for days, kept in ((1, [1, 1, 1]), (2, [0, 1, 1]), (13, [0, 0, 1]), (390, [0, 0, 0])):
        clock.advance(days=days)
        while edge(service.forget_old):
            pass
        assert edge.read(left) == kept, days


def test_trends_are_asked_for_by_name_and_within_bounds(
    client: TestClient, edge: Edge, root: Person, eve: Person, add_server: Callable[..., int]
):
    server = add_server()
    edge(service.record, [Sample(server, "host.cpu", 0.5), Sample(server, "host.cpu", 0.7)])
    path = f"/api/monitoring/trend?server_id={server}&metric=host.cpu&metric=users&step=hour"
    answer = client.get(path, headers=root.headers)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    (point,) = found["trends"][0]["points"]
    assert (point["samples"], point["mean"], point["most"]) == (2, 0.6, 0.7)
    assert found["trends"][1] == {"metric": "users", "points": []}
    assert client.get(path, headers=eve.headers).status_code == 403
    refused = client.get(f"{path}&hours=9000", headers=root.headers)
    assert refused.status_code == 422
    assert client.get("/api/monitoring/trend", headers=root.headers).status_code == 422
    listed = client.get("/api/monitoring/metrics", headers=root.headers).json()
    assert {one["name"] for one in listed["of_servers"]} == set(measuring.METRICS)
