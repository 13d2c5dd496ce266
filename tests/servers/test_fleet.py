"""The servers' worker with fake servers on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from derpman.alerts.models import SystemAlert
from derpman.servers import fleet as fleets
from derpman.servers import leases, service
from derpman.servers.errors import LeaseLost, NodeError
from derpman.servers.models import Server, ServerLink
from derpman.servers.states import ServerStatus
from derpman.servers.transports.fake import node_of
from tests.servers.conftest import World, relay, run, until

AddServer = Callable[..., int]


def test_what_is_wanted_reaches_the_node_and_what_is_comes_back(
    world: World, add_server: AddServer
) -> None:
    server_id = add_server()

    async def main() -> None:
        async with world.running(world.fleet()):
            await until(lambda: world.link(server_id).node_version == "fake")
            world.want(server_id, relay(1), relay(2))
            await until(lambda: world.panel.states(server_id) == {1: "ready", 2: "ready"})
            await until(lambda: world.link(server_id).applied_generation == 1)

    run(main)
    link = world.link(server_id)
    assert link.runtime == "fake"
    assert link.contact_at is not None
    assert link.leased_by is None, "a worker that ends lets go"


def test_nothing_is_sent_while_nothing_changes(world: World, add_server: AddServer) -> None:
    server_id = add_server()
    world.want(server_id, relay(1))

    async def main() -> None:
        async with world.running(world.fleet()) as fleet:
            await until(lambda: world.link(server_id).applied_generation == 1)
            for _ in range(5):
                fleet.links[server_id].nudge()
                await asyncio.sleep(0.02)

    run(main)
    assert node_of(server_id).applied == [1]


def test_a_lost_wake_up_is_repaired_by_the_poll(
    world: World, add_server: AddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleets, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(fleets, "TICK_SECONDS", 0.02)
    server_id = add_server()

    async def main() -> None:
        async with world.running(world.fleet()):
            await until(lambda: world.link(server_id).node_version)
            monkeypatch.setattr(world.wakes, "send", lambda topics: None)
            world.want(server_id, relay(1))
            await until(lambda: world.panel.states(server_id) == {1: "ready"})

    run(main)


def test_servers_are_shared_and_none_is_held_twice(world: World, add_server: AddServer) -> None:
    for _ in range(4):
        add_server()

    async def main() -> None:
        one, two = world.fleet(worker="one"), world.fleet(worker="two")
        async with world.running(one), world.running(two):
            await until(lambda: len(one.links) + len(two.links) == 4)
            assert not set(one.links) & set(two.links)

    run(main)


def test_a_server_of_a_dead_worker_is_taken_over_when_its_lease_ran_out(
    world: World, add_server: AddServer
) -> None:
    server_id = add_server()
    world.edge(leases.renew, "dead", 16)

    async def main() -> None:
        async with world.running(world.fleet()) as fleet:
            await asyncio.sleep(0.1)
            assert fleet.links == {}
            world.edge(
                lambda work: work.session.execute(update(ServerLink).values(leased_until=work.now))
            )
            await until(lambda: server_id in fleet.links)

    run(main)


def test_a_stalled_worker_can_write_nothing(world: World, add_server: AddServer) -> None:
    server_id = add_server()
    world.edge(leases.renew, "stalled", 16)
    world.edge(
        lambda work: work.session.execute(
            update(ServerLink).values(leased_by="next", applied_generation=9)
        )
    )
    seen: list[Any] = []
    snapshot = node_of(server_id)._snapshot(None)
    with pytest.raises(LeaseLost):
        world.edge(leases.record_applied, "stalled", server_id, 3)
    with pytest.raises(LeaseLost):
        world.edge(
            leases.record_snapshot,
            "stalled",
            server_id,
            snapshot,
            lambda *arguments: seen.append(arguments),
        )
    assert world.link(server_id).applied_generation == 9
    assert seen == []


def test_what_happened_is_recorded_once_over_a_restart_of_the_worker(
    world: World, add_server: AddServer
) -> None:
    server_id = add_server()
    node = node_of(server_id)
    knock = {"relay": 1, "key": "nodekey:" + "a" * 64, "address": "198.51.100.1", "count": 1}
    times = {"first_at": "2026-03-01T08:00:00Z", "last_at": "2026-03-01T08:00:00Z"}

    def knocks() -> list[int]:
        return [row["seq"] for _, one in world.panel.seen for row in one["knocks"]]

    async def main() -> None:
        async with world.running(world.fleet()):
            await until(lambda: world.panel.seen)
            node.report(knocks=[{**knock, **times}])
            await until(knocks)
        node.report(knocks=[{**knock, **times}])
        async with world.running(world.fleet()):
            await until(lambda: len(knocks()) == 2)
            before = len(world.panel.seen)
            node.set_state(1, "ready")
            node.report(events=[{"at": times["first_at"], "kind": "gap", "detail": {}}])
            await until(lambda: len(world.panel.seen) > before)

    run(main)
    assert knocks() == [1, 2]


def test_a_snapshot_that_could_not_be_recorded_comes_again(
    world: World, add_server: AddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_id = add_server()
    observed = world.panel.observed
    failures = 2

    def fail_first(work: Any, **arguments: Any) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise RuntimeError("the database is away")
        observed(work, **arguments)

    monkeypatch.setattr(world.panel, "observed", fail_first)
    node_of(server_id).report(events=[{"at": "2026-03-01T08:00:00Z", "kind": "gap"}])

    async def main() -> None:
        async with world.running(world.fleet()):
            await until(lambda: world.panel.seen)

    run(main)
    assert [row["seq"] for row in world.panel.seen[0][1]["events"]] == [1]


def test_a_silent_server_becomes_unhealthy_even_when_nothing_probes(
    world: World, add_server: AddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleets, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(fleets, "TICK_SECONDS", 0.02)
    server_id = add_server()
    node = node_of(server_id)
    node.faults.connect = NodeError("server.unreachable", "no answer")

    def alerts() -> list[SystemAlert]:
        found = select(SystemAlert).where(SystemAlert.open_key.is_not(None))
        return world.edge.read(lambda work: list(work.session.scalars(found)))

    async def main() -> None:
        async with world.running(world.fleet()):
            await until(lambda: world.server(server_id).status is ServerStatus.UNHEALTHY)
            assert [alert.open_key for alert in alerts()] == [f"server_unreachable:{server_id}"]
            assert world.link(server_id).error == "server.unreachable"
            assert world.edge(service.candidates) == []
            node.faults.connect = None
            await until(lambda: world.link(server_id).error is None)
            assert world.server(server_id).status is ServerStatus.UNHEALTHY, "probes decide"

    run(main)


def test_a_hanging_server_costs_the_others_nothing(world: World, add_server: AddServer) -> None:
    bad, good = add_server(), add_server()
    node_of(bad).faults.hangs = True

    async def main() -> None:
        async with world.running(world.fleet()):
            await until(lambda: world.link(good).node_version)
            world.want(bad, relay(1))
            world.want(good, relay(2))
            await until(lambda: world.panel.states(good) == {2: "ready"})
            assert world.panel.states(bad) == {}

    run(main)


def test_a_node_that_lost_its_state_is_told_again(world: World, add_server: AddServer) -> None:
    server_id = add_server()
    world.want(server_id, relay(1))

    async def main() -> None:
        async with world.running(world.fleet()):
            await until(lambda: world.link(server_id).applied_generation == 1)
            node = node_of(server_id)
            node.generation, node.relays = 0, {}
            node.cut()
            await until(lambda: node.generation == 1)
            assert list(node.relays) == [1]

    run(main)


def test_a_node_ahead_of_the_database_is_overtaken(world: World, add_server: AddServer) -> None:
    server_id = add_server()
    node_of(server_id).generation = 57
    world.want(server_id, relay(1))

    async def main() -> None:
        async with world.running(world.fleet()):
            await until(lambda: world.link(server_id).applied_generation == 58)

    run(main)
    assert world.server(server_id).desired_generation == 58
    assert list(node_of(server_id).relays) == [1]


def test_a_refusal_of_the_node_is_shown_and_tried_again(
    world: World, add_server: AddServer
) -> None:
    server_id = add_server()
    node = node_of(server_id)
    node.faults.refusals["apply"] = "apply.not_written"
    world.want(server_id, relay(1))

    async def main() -> None:
        async with world.running(world.fleet()) as fleet:
            await until(lambda: world.link(server_id).error == "apply.not_written")
            assert world.server(server_id).status is ServerStatus.HEALTHY
            node.faults.refusals.clear()
            fleet.links[server_id].nudge()
            await until(lambda: world.link(server_id).applied_generation == 1)
            await until(lambda: world.link(server_id).error is None)

    run(main)


def test_a_removed_server_is_let_go(
    world: World, add_server: AddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleets, "RENEW_SECONDS", 0.05)
    server_id = add_server()

    async def main() -> None:
        async with world.running(world.fleet()) as fleet:
            await until(lambda: fleet.links)
            world.edge(
                lambda work: work.session.execute(
                    update(Server).values(status=ServerStatus.REMOVED)
                )
            )
            world.wakes.send(["servers"])
            await until(lambda: not fleet.links)

    run(main)
    assert node_of(server_id).applied == []


def test_an_image_is_sent_where_there_is_none(world: World, add_server: AddServer) -> None:
    (world.build_dir / "relay-image.tar").write_bytes(b"i" * 1_200_000)
    (world.build_dir / "relay-image.tar.label").write_text("derper-1.2.3-abcdef\n")
    bare, equipped = add_server(), add_server()
    node_of(equipped).image = "derper-1.0.0-000000"

    async def main() -> None:
        async with world.running(world.fleet()):
            await until(lambda: world.link(bare).relay_label == "derper-1.2.3-abcdef")
            await until(lambda: world.link(equipped).relay_label)

    run(main)
    assert node_of(bare).image == "derper-1.2.3-abcdef"
    assert node_of(equipped).image == "derper-1.0.0-000000", "an upgrade is another matter"
