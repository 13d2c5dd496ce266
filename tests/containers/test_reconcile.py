from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from sqlalchemy import select, update

from derpman.alerts.models import SystemAlert
from derpman.containers import reconcile, service
from derpman.containers.models import Placement, PortClaim
from derpman.containers.states import Observed, Wanted
from derpman.kit.work import Edge, UnitOfWork
from derpman.logs.models import ServerLog
from derpman.servers.models import ServerLink
from tests.conftest import HeardWake, MovableClock, Person
from tests.containers.conftest import Allocate

KEY = "nodekey:" + "ab" * 32


@pytest.fixture
def server(add_server: Callable[..., int]) -> int:
    """One of three servers; the test looks at this one."""
    first, *_ = [add_server() for _ in range(3)]
    return first


def placement_on(edge: Edge, server_id: int) -> Placement:
    found = select(Placement).where(Placement.server_id == server_id)
    return edge.read(lambda work: work.session.scalars(found).one())


def relay(id_: int, state: str = "ready", **more: Any) -> dict[str, Any]:
    return {"id": id_, "generation": 1, "state": state, "reason": None, "restarts": 0, **more}


def snapshot(generation: int, *relays: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "cursor": "c",
        "whole": True,
        "generation": generation,
        "at": "2026-03-01T08:00:00Z",
        "relays": list(relays),
        **more,
    }


def observe(edge: Edge, server_id: int, shot: dict[str, Any]) -> None:
    edge(reconcile.record_observed, server_id=server_id, snapshot=shot)


def test_desired_state_is_the_whole_server_in_three_statements(
    statements: list[str],
    edge: Edge,
    server: int,
    carl: Person,
    eve: Person,
    allocate: Allocate,
):
    placements = allocate(carl.id, rate_bytes_per_second=125_000)
    allocate(eve.id)
    until = datetime(2026, 3, 2, tzinfo=UTC)
    edge(service.admit, user_id=carl.id, node_key=KEY, not_after=until)
    edge(service.stop, rental_id=eve.id * 10)
    statements.clear()
    state = edge.read(reconcile.desired_state, server_id=server)
    assert len(statements) == 3
    assert state is not None
    json.dumps(state)  # it goes over the wire as it is
    assert state["generation"] == 4
    first, second = state["relays"]
    mine = next(one for one in placements if one.server_id == server)
    assert first["devices"] == [{"key": KEY, "not_after": "2026-03-02T00:00:00Z"}]
    assert (first["id"], first["port"], first["stun_port"]) == (mine.id, mine.port, mine.port)
    assert (first["running"], second["running"]) == (True, False)
    assert first["rate_bytes_per_second"] == 125_000
    assert first["expires_at"] == "2026-03-31T08:00:00Z"
    assert second["devices"] == []
    assert "PRIVATE KEY" in first["private_key"]
    assert len(bytes.fromhex(first["mesh_key"])) == 32
    x509.load_pem_x509_certificate(first["certificate"].encode())


def test_nothing_is_desired_anew_of_a_node_that_accepted_it(
    edge: Edge, server: int, carl: Person, allocate: Allocate
):
    allocate(carl.id)
    edge(
        lambda work: work.session.execute(
            update(ServerLink).where(ServerLink.server_id == server).values(applied_generation=1)
        )
    )
    assert edge.read(reconcile.desired_state, server_id=server) is None
    forced = edge.read(reconcile.desired_state, server_id=server, force=True)
    assert forced is not None
    assert len(forced["relays"]) == 1


def test_released_relay_is_not_desired(edge: Edge, server: int, carl: Person, allocate: Allocate):
    edge(service.release, rental_id=allocate(carl.id)[0].rental_id)
    state = edge.read(reconcile.desired_state, server_id=server)
    assert state == {"generation": 2, "relays": []}


def test_ready_relay_is_seen_and_the_page_is_woken(
    edge: Edge,
    server: int,
    clock: MovableClock,
    heard: HeardWake,
    carl: Person,
    allocate: Allocate,
):
    allocate(carl.id)
    mine = placement_on(edge, server)
    observe(edge, server, snapshot(1, relay(mine.id, "starting")))
    assert placement_on(edge, server).observed is Observed.STARTING
    assert placement_on(edge, server).ready_at is None
    heard.topics.clear()
    observe(edge, server, snapshot(1, relay(mine.id)))
    seen = placement_on(edge, server)
    assert (seen.observed, seen.ready_at) == (Observed.READY, clock.now)
    assert heard.topics == ["live"]
    clock.advance(hours=1)
    observe(edge, server, snapshot(1, relay(mine.id, "failed", reason="crash_loop", restarts=3)))
    observe(edge, server, snapshot(1, relay(mine.id, restarts=3)))
    assert placement_on(edge, server).ready_at == clock.now - timedelta(hours=1)


def test_snapshot_without_news_writes_nothing(
    statements: list[str], edge: Edge, server: int, carl: Person, allocate: Allocate
):
    allocate(carl.id)
    shot = snapshot(1, relay(placement_on(edge, server).id))
    observe(edge, server, shot)
    statements.clear()
    observe(edge, server, shot)
    assert [one.split()[0] for one in statements] == ["SELECT"] * 2


def test_released_relay_is_gone_when_its_node_proves_it_and_its_port_rests_from_then(
    edge: Edge, server: int, clock: MovableClock, carl: Person, allocate: Allocate
):
    allocate(carl.id)
    mine = placement_on(edge, server)
    observe(edge, server, snapshot(1, relay(mine.id)))
    edge(service.release, rental_id=mine.rental_id)
    clock.advance(hours=3)
    for shot in [
        snapshot(1),  # taken before the node heard of the release: proves nothing
        snapshot(2, relay(mine.id)),  # accepted, and still there
        snapshot(2, whole=False),  # says nothing of it
    ]:
        observe(edge, server, shot)
        assert placement_on(edge, server).gone_at is None
    observe(edge, server, snapshot(2))
    gone = placement_on(edge, server)
    assert (gone.observed, gone.gone_at) == (Observed.GONE, clock.now)
    claim = edge.read(
        lambda work: work.session.scalars(
            select(PortClaim).where(PortClaim.server_id == server)
        ).one()
    )
    assert claim.free_at == clock.now + timedelta(days=7)
    clock.advance(days=1)
    observe(edge, server, snapshot(2))
    assert placement_on(edge, server).gone_at == clock.now - timedelta(days=1)


def test_removal_that_is_reported_proves_it_too(
    edge: Edge, server: int, carl: Person, allocate: Allocate
):
    edge(service.release, rental_id=allocate(carl.id)[0].rental_id)
    mine = placement_on(edge, server)
    observe(edge, server, snapshot(2, whole=False, removed=[mine.id]))
    assert placement_on(edge, server).observed is Observed.GONE


def test_wanted_relay_that_its_node_does_not_know_is_unknown_again(
    edge: Edge, server: int, carl: Person, allocate: Allocate
):
    allocate(carl.id)
    mine = placement_on(edge, server)
    observe(edge, server, snapshot(1, relay(mine.id)))
    observe(edge, server, snapshot(0))
    assert placement_on(edge, server).observed is Observed.READY
    observe(edge, server, snapshot(1))
    lost = placement_on(edge, server)
    assert (lost.observed, lost.wanted, lost.gone_at) == (Observed.UNKNOWN, Wanted.RUNNING, None)


def test_what_nobody_ordered_is_reported_once(edge: Edge, server: int):
    for _ in range(3):
        observe(edge, server, snapshot(0, relay(4711)))
    removed = {"seq": 1, "at": "2026-03-01T08:00:00Z", "relay": None, "kind": "foreign_removed"}
    observe(edge, server, snapshot(0, events=[{**removed, "detail": {"name": "relay-9-g1"}}]))
    logged, alerts = edge.read(
        lambda work: (
            work.session.scalars(select(ServerLog.action).order_by(ServerLog.id)).all(),
            work.session.scalars(select(SystemAlert.alert_type).order_by(SystemAlert.id)).all(),
        )
    )
    assert logged == ["relay.unordered", "relay.foreign_removed"]
    assert alerts == ["unordered_relay", "foreign_container"]


def test_alert_of_what_nobody_ordered_ends_when_its_node_no_longer_reports_it(
    edge: Edge, server: int, clock: MovableClock
):
    def is_open() -> bool:
        found = select(SystemAlert.resolved).where(SystemAlert.alert_type == "unordered_relay")
        return not edge.read(lambda work: work.session.scalars(found).one())

    def hear(work: UnitOfWork) -> None:
        link = work.session.get_one(ServerLink, server)
        link.contact_at = work.now

    for _ in range(20):
        observe(edge, server, snapshot(0, relay(4711)))
        clock.advance(seconds=5)
        edge(reconcile.resolve_unordered)
    assert is_open(), "it is still reported"
    clock.advance(seconds=60)
    edge(hear)
    clock.advance(seconds=31)
    edge(reconcile.resolve_unordered)
    assert is_open(), "the server is out of touch"
    edge(hear)
    edge(reconcile.resolve_unordered)
    assert not is_open()


def test_what_a_node_did_by_itself_stands_in_the_servers_log(edge: Edge, server: int):
    happened = [
        {"seq": 1, "at": "2026-03-01T08:00:00Z", "relay": 5, "kind": "relay_killed_back"},
        {"seq": 2, "at": "2026-03-01T08:00:01Z", "relay": 5, "kind": "relay_started"},
    ]
    observe(edge, server, snapshot(0, events=happened))
    found = select(ServerLog.action, ServerLog.detail)
    assert edge.read(lambda work: [tuple(row) for row in work.session.execute(found)]) == [
        ("relay.killed_back", '{"relay_id":5}')
    ]
