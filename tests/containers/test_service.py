from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select, update
from sqlalchemy.orm import ORMExecuteState

from derpman.containers import service
from derpman.containers.errors import (
    AlreadyOnServer,
    HasRelays,
    NoPortLeft,
    NotEnoughServers,
    ServerNotFit,
)
from derpman.containers.models import Admission, Placement, PortClaim, UserServer
from derpman.containers.states import Wanted
from derpman.kit.states import IllegalTransition
from derpman.kit.work import Edge, UnitOfWork
from derpman.servers.errors import ServerNotFound
from derpman.servers.models import Server
from tests.conftest import MovableClock, Person
from tests.containers.conftest import Allocate

AddServer = Callable[..., int]
KEY = "nodekey:" + "a" * 64


def rows(edge: Edge, statement: Any) -> list:
    return edge.read(lambda work: list(work.session.scalars(statement)))


def relay_counts(edge: Edge) -> list[int]:
    return rows(edge, select(Server.relay_count).order_by(Server.id))


def generations(edge: Edge) -> list[int]:
    return rows(edge, select(Server.desired_generation).order_by(Server.id))


@pytest.fixture
def three(add_server: AddServer) -> list[int]:
    return [add_server() for _ in range(3)]


def test_three_slots_get_three_servers_and_their_regions_for_ever(
    edge: Edge, three: list[int], carl: Person, allocate: Allocate
):
    placements = allocate(carl.id, region_base=941)
    assert [one.slot for one in placements] == [1, 2, 3]
    assert [one.region_id for one in placements] == [941, 942, 943]
    assert sorted(one.server_id for one in placements) == three
    assert relay_counts(edge) == [1, 1, 1]
    assert generations(edge) == [1, 1, 1]
    claims = rows(edge, select(PortClaim))
    assert {(one.server_id, one.port) for one in placements} == {
        (claim.server_id, claim.port) for claim in claims
    }
    assert all(claim.free_at is None for claim in claims)


def test_secrets_are_sealed_in_the_database(
    edge: Edge, three: list[int], carl: Person, allocate: Allocate
):
    allocate(carl.id)
    stored = rows(edge, select(Placement.private_key)) + rows(edge, select(Placement.mesh_key))
    assert all("PRIVATE" not in text and len(text) > 80 for text in stored)
    assert len(set(stored)) == 6


def test_two_servers_are_not_enough_and_nothing_stays(
    edge: Edge, add_server: AddServer, carl: Person, allocate: Allocate
):
    for _ in range(2):
        add_server()
    with pytest.raises(NotEnoughServers) as caught:
        allocate(carl.id)
    assert caught.value.params == {"wanted": 3, "fit": 2}
    assert relay_counts(edge) == [0, 0]
    assert rows(edge, select(Placement)) == []


def test_full_server_is_passed_over(
    edge: Edge, three: list[int], add_server: AddServer, carl: Person, allocate: Allocate
):
    full = add_server(capacity=5, relay_count=5)
    assert full not in {one.server_id for one in allocate(carl.id)}


def test_server_that_filled_up_after_it_was_chosen_is_replaced(
    edge: Edge, three: list[int], add_server: AddServer, carl: Person
):
    """What another transaction took between choice and claim is nobody's loss."""
    spare = add_server(region="far", relay_count=90)

    def verb(work: UnitOfWork) -> list[Placement]:
        is_full: list[bool] = []

        @event.listens_for(work.session, "do_orm_execute")
        def fill_up(state: ORMExecuteState) -> None:
            if not state.is_select and not is_full:
                is_full.append(True)
                full = update(Server).where(Server.id == three[0]).values(capacity=0)
                work.session.execute(full)

        return service.allocate(
            work,
            user_id=carl.id,
            rental_id=1,
            region_base=931,
            expires_at=work.now + timedelta(days=1),
            rate_bytes_per_second=0,
        )

    placed = {one.server_id for one in edge(verb)}
    assert placed == {*three[1:], spare}


def test_server_without_a_free_port_is_passed_over_and_gets_its_place_back(
    edge: Edge,
    three: list[int],
    add_server: AddServer,
    carl: Person,
    eve: Person,
    allocate: Allocate,
):
    narrow = add_server(port_from=20000, port_to=20000)
    allocate(carl.id, prefer=[narrow])
    with_eve = allocate(eve.id, prefer=[narrow])
    assert narrow not in {one.server_id for one in with_eve}
    assert relay_counts(edge)[-1] == 1


def test_preferred_servers_are_taken_first(
    three: list[int], add_server: AddServer, carl: Person, allocate: Allocate
):
    busy = add_server(relay_count=90)
    assert allocate(carl.id, prefer=[busy])[0].server_id == busy


def test_nobody_has_a_fourth_relay(
    edge: Edge, three: list[int], add_server: AddServer, carl: Person, allocate: Allocate
):
    fourth = add_server(relay_count=90)
    allocate(carl.id)
    with pytest.raises(HasRelays):
        allocate(carl.id, rental_id=77)
    with pytest.raises(HasRelays):
        edge(service.fill, terms(edge, carl.id), slot=2, server_id=fourth)
    assert len(rows(edge, select(Placement))) == 3


def terms(edge: Edge, user_id: int) -> service.Terms:
    return service.Terms(
        user_id=user_id,
        rental_id=user_id * 10,
        region_base=931,
        expires_at=edge.clock() + timedelta(days=30),
        rate_bytes_per_second=0,
    )


def lose_slot(edge: Edge, slot: int) -> None:
    edge(
        lambda work: work.session.execute(
            update(Placement).where(Placement.slot == slot).values(wanted=Wanted.RELEASED)
        )
    )


def test_empty_slot_is_filled_with_its_next_generation(
    edge: Edge, three: list[int], add_server: AddServer, carl: Person, allocate: Allocate
):
    fourth = add_server(relay_count=90)
    before = allocate(carl.id)
    lose_slot(edge, 2)
    filled = edge(service.fill, terms(edge, carl.id), slot=2, server_id=fourth)
    assert (filled.slot, filled.generation, filled.region_id) == (2, 2, 932)
    assert filled.pin != before[1].pin
    assert relay_counts(edge)[-1] == 91


def test_fill_says_why_not(
    edge: Edge, three: list[int], add_server: AddServer, carl: Person, allocate: Allocate
):
    placements = allocate(carl.id)
    lose_slot(edge, 3)
    wanted = terms(edge, carl.id)
    for server_id, error in [
        (placements[0].server_id, AlreadyOnServer),
        (add_server(capacity=0), ServerNotFit),
        (999, ServerNotFound),
        (add_server(port_from=2, port_to=1), NoPortLeft),
    ]:
        with pytest.raises(error):
            edge(service.fill, wanted, slot=3, server_id=server_id)


def test_release_gives_places_back_and_keeps_ports_until_the_relay_is_gone(
    edge: Edge, three: list[int], carl: Person, allocate: Allocate
):
    placements = allocate(carl.id)
    edge(service.release, rental_id=placements[0].rental_id)
    assert relay_counts(edge) == [0, 0, 0]
    assert generations(edge) == [2, 2, 2]
    assert edge.read(service.placements_of, user_id=carl.id) == []
    assert all(claim.free_at is None for claim in rows(edge, select(PortClaim)))
    assert all(right.ended_at for right in rows(edge, select(UserServer)))
    edge(service.release, rental_id=placements[0].rental_id)
    assert relay_counts(edge) == [0, 0, 0]


def test_port_is_anybodys_again_after_its_rest(
    edge: Edge,
    add_server: AddServer,
    clock: MovableClock,
    carl: Person,
    eve: Person,
    allocate: Allocate,
):
    for _ in range(3):
        add_server(port_from=20000, port_to=20000)
    first = allocate(carl.id)
    edge(service.release, rental_id=first[0].rental_id)
    free_at = clock.now + timedelta(days=7)
    edge(lambda work: work.session.execute(update(PortClaim).values(free_at=free_at)))
    clock.advance(days=7, seconds=-1)
    with pytest.raises(NotEnoughServers):
        allocate(eve.id)
    clock.advance(seconds=1)
    second = allocate(eve.id)
    claims = rows(edge, select(PortClaim))
    assert {claim.placement_id for claim in claims} == {one.id for one in second}
    assert all(claim.free_at is None for claim in claims)


def test_right_on_a_server_begins_again(
    edge: Edge, three: list[int], carl: Person, allocate: Allocate
):
    edge(service.release, rental_id=allocate(carl.id)[0].rental_id)
    allocate(carl.id, rental_id=78)
    rights = rows(edge, select(UserServer))
    assert len(rights) == 3
    assert all(right.ended_at is None for right in rights)


def test_stop_and_start_tell_the_nodes_and_keep_everything(
    edge: Edge, three: list[int], carl: Person, allocate: Allocate
):
    rental_id = allocate(carl.id)[0].rental_id
    edge(service.stop, rental_id=rental_id)
    assert set(rows(edge, select(Placement.wanted))) == {Wanted.STOPPED}
    assert generations(edge) == [2, 2, 2]
    with pytest.raises(IllegalTransition):
        edge(service.stop, rental_id=rental_id)
    edge(service.start, rental_id=rental_id)
    assert set(rows(edge, select(Placement.wanted))) == {Wanted.RUNNING}
    assert relay_counts(edge) == [1, 1, 1]


def test_devices_are_admitted_and_refused_on_his_servers_only(
    edge: Edge, three: list[int], add_server: AddServer, carl: Person, allocate: Allocate
):
    add_server(relay_count=99)
    allocate(carl.id)
    edge(service.admit, user_id=carl.id, node_key=KEY)
    edge(service.admit, user_id=carl.id, node_key=KEY, not_after=edge.clock())
    assert [one.not_after for one in rows(edge, select(Admission))] == [edge.clock()]
    assert generations(edge) == [3, 3, 3, 0]
    edge(service.refuse, user_id=carl.id, node_key=KEY)
    assert rows(edge, select(Admission)) == []
    assert generations(edge) == [4, 4, 4, 0]


def test_simultaneous_allocations_share_no_port(
    edge: Edge, add_server: AddServer, person: Callable[..., Person], allocate: Allocate
):
    for _ in range(4):
        add_server(port_from=20000, port_to=20019, capacity=20)
    people = [person(f"user{number}").id for number in range(16)]
    failures: list[Exception] = []

    def one(user_id: int) -> None:
        try:
            allocate(user_id)
        except Exception as error:  # noqa: BLE001 # shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=one, args=(user_id,)) for user_id in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    claims = [(one.server_id, one.port) for one in rows(edge, select(Placement))]
    assert len(set(claims)) == len(claims) == 48
    counted = Counter(server_id for server_id, _ in claims)
    server_ids = rows(edge, select(Server.id).order_by(Server.id))
    assert relay_counts(edge) == [counted[server_id] for server_id in server_ids]
    per_user = select(func.count(Placement.id)).group_by(Placement.user_id)
    assert set(rows(edge, per_user)) == {3}
