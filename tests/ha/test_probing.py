"""Fake servers that vanish, hang and return, seen by a worker that probes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from derpman.alerts.models import SystemAlert
from derpman.ha import probing
from derpman.ha.probing import Prober, observers_of, ring
from derpman.kit.work import UnitOfWork
from derpman.monitoring.models import MonitoringLog
from derpman.servers import health, leases, service
from derpman.servers.errors import LeaseLost
from derpman.servers.fleet import Fleet
from derpman.servers.models import Server, ServerHealth, ServerHealthChange
from derpman.servers.states import ServerStatus
from derpman.servers.transports.fake import node_of
from tests.servers.conftest import World, run, until

AddServer = Callable[..., int]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "TRY_SECONDS", 0.15)
    monkeypatch.setattr(probing, "CONNECT_GRACE_SECONDS", 0.0)


def fleet_of(world: World, **more: Any) -> Fleet:
    prober = Prober(world.edge, every_seconds=0.05)
    return Fleet(
        edge=world.edge,
        wake=world.wakes,
        panel=world.panel,
        build_dir=world.build_dir,
        beside=prober.run,
        **more,
    )


def vanish(server_id: int, ip: str) -> None:
    """To the panel it hangs; the others do not reach it."""
    node_of(server_id).faults.hangs = True
    for other in range(1, 10):
        if other != server_id:
            node_of(other).probes[ip, 22] = {"tcp_ms": None, "stun_ms": None}


def come_back(server_id: int) -> None:
    node_of(server_id).faults.hangs = False
    for other in range(1, 10):
        node_of(other).probes.clear()


def changes(world: World, server_id: int) -> list[str]:
    found = (
        select(ServerHealthChange.after)
        .where(ServerHealthChange.server_id == server_id)
        .order_by(ServerHealthChange.id)
    )
    return [str(one) for one in world.edge.read(lambda work: work.session.scalars(found).all())]


def open_alerts(world: World) -> set[str | None]:
    found = select(SystemAlert.open_key).where(SystemAlert.open_key.is_not(None))
    return set(world.edge.read(lambda work: work.session.scalars(found).all()))


def test_a_server_that_vanishes_is_dead_when_the_others_agree_and_recovers(
    world: World, add_server: AddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FIRST_SETTLE", health.FIRST_SETTLE / 50)
    one, *_ = [add_server() for _ in range(3)]

    def status() -> ServerStatus:
        return world.server(one).status

    async def main() -> None:
        async with world.running(fleet_of(world)) as fleet:
            await until(lambda: len([link for link in fleet.links.values() if link.node]) == 3)
            vanish(one, world.server(one).ip)
            await until(lambda: status() is ServerStatus.DEAD)
            assert open_alerts(world) == {f"server_unreachable:{one}", f"server_dead:{one}"}
            assert one not in [fit.id for fit in world.edge(service.candidates)]
            come_back(one)
            await until(lambda: status() is ServerStatus.HEALTHY)

    run(main)
    assert changes(world, one) == ["suspect", "dead", "recovering", "healthy"]
    assert open_alerts(world) == set()


def test_a_panel_that_is_cut_off_finds_nobody_dead(world: World, add_server: AddServer) -> None:
    ids = [add_server() for _ in range(3)]

    async def main() -> None:
        async with world.running(fleet_of(world)) as fleet:
            await until(lambda: len([one for one in fleet.links.values() if one.node]) == 3)
            for one in ids:
                node_of(one).faults.hangs = True
            await until(lambda: {world.server(one).status for one in ids} == {ServerStatus.SUSPECT})
            await asyncio.sleep(1.0)
            assert {world.server(one).status for one in ids} == {ServerStatus.SUSPECT}
            assert world.edge.read(health.reach).is_cut_off

    run(main)


def test_a_server_that_the_others_reach_is_not_dead(
    world: World, add_server: AddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("derpman.ha.sight.LOSE_SECONDS", 0.5)
    one, *_ = [add_server() for _ in range(3)]

    async def main() -> None:
        async with world.running(fleet_of(world)) as fleet:
            await until(lambda: len([link for link in fleet.links.values() if link.node]) == 3)
            node_of(one).faults.hangs = True
            await until(lambda: world.server(one).status is ServerStatus.UNHEALTHY)
            await asyncio.sleep(0.5)

    run(main)
    assert changes(world, one) == ["suspect", "unhealthy"]


def test_votes_travel_between_workers(world: World, add_server: AddServer) -> None:
    one, *_ = [add_server() for _ in range(3)]

    async def main() -> None:
        first, second = fleet_of(world, worker="first"), fleet_of(world, worker="second")
        async with world.running(first), world.running(second):
            await until(lambda: len(first.links) + len(second.links) == 3)
            vanish(one, world.server(one).ip)
            await until(lambda: world.server(one).status is ServerStatus.DEAD)

    run(main)


def test_each_loss_within_an_hour_makes_a_server_wait_longer(
    edge: Any, add_server: AddServer, clock: Any
) -> None:
    server_id = add_server()
    waits: list[float] = []
    for _ in range(4):
        edge(leases.renew, "me", 16)
        for action in ("doubt", "lose", "return"):
            cause = health.NO_CONTACT if action != "return" else None
            edge(health.change, "me", server_id, action, cause, {})
        row = edge.read(lambda work: work.session.get_one(ServerHealth, server_id))
        waits.append((row.settles_at - clock()).total_seconds())
        edge(health.change, "me", server_id, "recover", None, {})
    assert waits == [10, 20, 40, 80]
    clock.advance(hours=2)
    edge(leases.renew, "me", 16)
    for action in ("doubt", "lose", "return"):
        edge(health.change, "me", server_id, action, None, {})
    row = edge.read(lambda work: work.session.get_one(ServerHealth, server_id))
    assert (row.settles_at - clock()).total_seconds() == 10


def test_a_worker_that_lost_the_server_changes_nothing(edge: Any, add_server: AddServer) -> None:
    server_id = add_server()
    with pytest.raises(LeaseLost):
        edge(health.change, "nobody", server_id, "doubt", health.NO_CONTACT, {})


def test_latencies_are_written_for_panel_and_servers(
    world: World, add_server: AddServer, monkeypatch: pytest.MonkeyPatch, statements: list[str]
) -> None:
    monkeypatch.setattr(probing, "LATENCY_SECONDS", 5.5)
    for _ in range(4):
        add_server()

    def metrics(work: UnitOfWork) -> list[tuple[int, str]]:
        return [tuple(row) for row in work.session.execute(
            select(MonitoringLog.server_id, MonitoringLog.metric).distinct()
        )]  # type: ignore[misc]  # fmt: skip

    async def main() -> None:
        async with world.running(fleet_of(world)):
            await until(lambda: world.edge.read(metrics))

    run(main)
    found = world.edge.read(metrics)
    assert {one for one, metric in found if metric == "latency.panel.node"} == {1, 2, 3, 4}
    assert {one for one, metric in found if metric.startswith("latency.server.")} == {1, 2, 3, 4}
    inserts = [text for text in statements if "INSERT INTO monitoring_" in text]
    rows = world.edge.read(lambda work: work.session.scalar(select(func.count(MonitoringLog.id))))
    assert rows == 4 + 4 * 3 * 2
    assert len(inserts) == 3


def test_everybody_is_looked_at_by_at_most_five(add_server: AddServer, edge: Any) -> None:
    ids = [add_server() for _ in range(9)]
    patients = edge.read(health.patients)
    assert ring(3, patients) == [4, 5, 6, 7, 8, 9, 1, 2]
    assert observers_of(ids[8], patients) == [1, 2, 3, 4, 5]
    edge(lambda work: work.session.get_one(Server, 2).__setattr__("status", ServerStatus.DEAD))
    assert observers_of(ids[8], edge.read(health.patients)) == [1, 3, 4, 5, 6]
