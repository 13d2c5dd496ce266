"""The next generation of a relay beside the last."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from derpman.containers import reconcile, service, successors
from derpman.containers.errors import ServerNotFit, TwoGenerations
from derpman.containers.models import Placement, PortClaim, UserServer
from derpman.containers.service import Terms
from derpman.containers.states import Observed, Wanted
from derpman.kit.work import Edge, UnitOfWork
from derpman.servers.errors import ServerNotFound
from derpman.servers.models import Server
from tests.conftest import MovableClock, Person
from tests.containers.conftest import Allocate

AddServer = Callable[..., int]


@pytest.fixture
def three(add_server: AddServer) -> list[int]:
    return [add_server() for _ in range(3)]


@pytest.fixture
def terms(carl: Person, clock: MovableClock) -> Terms:
    return Terms(carl.id, carl.id * 10, 931, clock() + timedelta(days=30), 0)


def prepare(edge: Edge, terms: Terms, placement_id: int, **more: Any) -> Placement:
    def verb(work: UnitOfWork) -> Placement:
        placement = work.session.get_one(Placement, placement_id)
        return successors.prepare(work, terms, placement=placement, **more)

    return edge(verb)


def rows(edge: Edge, statement: Any) -> list:
    return edge.read(lambda work: list(work.session.scalars(statement)))


def alive(edge: Edge, terms: Terms) -> dict[int, list[int]]:
    found = edge.read(successors.live, terms.rental_id)
    return {slot: [one.generation for one in ones] for slot, ones in found.items()}


def test_next_generation_stands_beside_the_last_under_the_same_region(
    edge: Edge, three: list[int], carl: Person, allocate: Allocate, terms: Terms
) -> None:
    first = allocate(carl.id)[0]
    second = prepare(edge, terms, first.id)
    assert (second.server_id, second.slot, second.region_id) == (first.server_id, 1, 931)
    assert (second.generation, second.wanted) == (2, Wanted.RUNNING)
    assert second.port != first.port
    assert second.pin != first.pin
    assert alive(edge, terms) == {1: [1, 2], 2: [1], 3: [1]}
    wanted = edge.read(reconcile.desired_state, server_id=first.server_id, force=True)
    assert wanted is not None
    assert {one["id"] for one in wanted["relays"]} == {first.id, second.id}
    assert len({one["mesh_key"] for one in wanted["relays"]}) == 2


def test_full_server_takes_a_successor_of_its_own_relay_and_no_other(
    edge: Edge, three: list[int], carl: Person, allocate: Allocate, terms: Terms
) -> None:
    first, other = allocate(carl.id)[:2]
    edge(lambda work: work.session.execute(update(Server).values(capacity=1)))
    prepare(edge, terms, first.id)
    with pytest.raises(ServerNotFit):
        prepare(edge, terms, other.id, server_id=first.server_id)
    with pytest.raises(ServerNotFound):
        prepare(edge, terms, other.id, server_id=999)


def test_third_generation_is_refused_unless_one_is_in_no_map_in_use(
    edge: Edge,
    three: list[int],
    carl: Person,
    allocate: Allocate,
    terms: Terms,
    add_server: AddServer,
) -> None:
    first = allocate(carl.id)[0]
    second = prepare(edge, terms, first.id)
    with pytest.raises(TwoGenerations):
        prepare(edge, terms, second.id)
    spare = add_server()
    third = prepare(edge, terms, second.id, server_id=spare, unused=[second.id])
    assert third.wanted is Wanted.RUNNING
    assert alive(edge, terms)[1] == [1, 3]
    assert (third.server_id, third.region_id) == (spare, 931)
    assert rows(edge, select(Server.relay_count).order_by(Server.id)) == [1, 1, 1, 1]


def test_retired_relay_leaves_its_port_at_rest_and_rights_where_another_is(
    edge: Edge,
    three: list[int],
    carl: Person,
    allocate: Allocate,
    terms: Terms,
    clock: MovableClock,
    add_server: AddServer,
) -> None:
    first, other = allocate(carl.id)[:2]
    prepare(edge, terms, first.id)
    prepare(edge, terms, other.id, server_id=add_server())
    ids = [first.id, other.id]
    assert edge(successors.retire, placement_ids=ids) == ids
    assert edge(successors.retire, placement_ids=ids) == []
    ended = rows(edge, select(UserServer.server_id).where(UserServer.ended_at.is_not(None)))
    assert ended == [other.server_id]
    generation = rows(edge, select(Server.desired_generation).where(Server.id == first.server_id))[
        0
    ]
    snapshot = {"generation": generation, "whole": True, "relays": [], "events": []}
    edge(reconcile.record_observed, server_id=first.server_id, snapshot=snapshot)
    [claim] = rows(edge, select(PortClaim).where(PortClaim.placement_id == first.id))
    assert claim.free_at == clock() + timedelta(days=7)


def test_end_of_a_generation_is_told_to_its_node_once(
    edge: Edge,
    three: list[int],
    carl: Person,
    allocate: Allocate,
    clock: MovableClock,
) -> None:
    first = allocate(carl.id)[0]
    ends_at = clock() + timedelta(days=3)
    edge(successors.set_ends, ends={first.id: ends_at})
    edge(successors.set_ends, ends={first.id: ends_at})
    [generation] = rows(edge, select(Server.desired_generation).where(Server.id == first.server_id))
    assert generation == 2
    wanted = edge.read(reconcile.desired_state, server_id=first.server_id)
    assert wanted is not None
    assert wanted["relays"][0]["expires_at"] == ends_at.isoformat().replace("+00:00", "Z")


def test_successor_of_a_relay_that_used_up_its_traffic_has_none_either(
    edge: Edge, three: list[int], carl: Person, allocate: Allocate, terms: Terms
) -> None:
    first = allocate(carl.id)[0]
    edge(
        lambda work: work.session.execute(
            update(Placement).values(quota_bytes=0, at_quota="stop", throttle_bytes_per_second=5)
        )
    )
    second = prepare(edge, terms, first.id)
    assert (second.quota_bytes, second.at_quota, second.throttle_bytes_per_second) == (0, "stop", 5)


def test_newest_of_each_slot_and_whether_they_serve(
    edge: Edge, three: list[int], carl: Person, allocate: Allocate, terms: Terms
) -> None:
    first = allocate(carl.id)[0]
    second = prepare(edge, terms, first.id)
    everything = edge.read(service.placements_of, rental_id=terms.rental_id)
    newest = successors.newest(everything)
    assert [one.generation for one in newest] == [2, 1, 1]
    assert not successors.are_ready(newest)
    for one in newest:
        one.observed = Observed.READY
    assert successors.are_ready(newest)
    assert second.id == newest[0].id
