"""Relays that move: beside the living, in place of the dead, within limits, once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import select, update

from derpman.acl import overlap, usage
from derpman.acl import service as acl
from derpman.acl.models import AclVersion
from derpman.acl.states import AclStatus
from derpman.alerts.models import SystemAlert
from derpman.containers import service as containers
from derpman.containers.models import Placement
from derpman.containers.states import Observed, Wanted
from derpman.devices.models import Presence
from derpman.ha import service
from derpman.ha.errors import MovesFrozen, NotUnhealthy
from derpman.ha.mover import Mover
from derpman.ha.service import Limits
from derpman.kit.work import Edge
from derpman.rentals import move_orders, moves
from derpman.rentals import service as rentals
from derpman.rentals.errors import AlreadyThere
from derpman.rentals.models import Rental, SlotMove
from derpman.rentals.move_orders import Cause
from derpman.rentals.states import MoveStatus
from derpman.serials import service as serials
from derpman.servers import draining
from derpman.servers.models import RefusedHostKey, Server, ServerHealth, ServerJob
from derpman.servers.states import ServerStatus
from tests.conftest import MovableClock, Person

AddServer = Callable[..., int]
Activate = Callable[[Person], Rental]
MANY = Limits(per_minute=1000, share_percent=100)


@pytest.fixture
def servers(add_server: AddServer) -> list[int]:
    return [add_server() for _ in range(4)]


@pytest.fixture
def activate(edge: Edge, edge_of: Callable[..., Edge], servers: list[int]) -> Activate:
    def run(person: Person) -> Rental:
        code = edge(serials.generate, duration_days=30)[0].code
        rental = edge_of(person.actor)(rentals.activate, code=code, user_id=person.id)
        make_ready(edge)
        return rental

    return run


@pytest.fixture
def mover(edge: Edge) -> Mover:
    return Mover(edge, limits=MANY, after_seconds=0)


def make_ready(edge: Edge) -> None:
    """Have every node say of every relay what is wanted of it."""
    edge(
        lambda work: work.session.execute(
            update(Placement)
            .where(Placement.wanted == Wanted.RUNNING)
            .values(observed=Observed.READY)
        )
    )


def put(edge: Edge, server_id: int, status: ServerStatus) -> None:
    def write(work: Any) -> None:
        work.session.execute(update(Server).where(Server.id == server_id).values(status=status))
        health = work.session.get(ServerHealth, server_id) or ServerHealth(server_id=server_id)
        health.since, health.cause, health.losses = work.now, "no_contact", 1
        work.session.add(health)

    edge(write)


def rows(edge: Edge, statement: Any) -> list[Any]:
    return edge.read(lambda work: list(work.session.scalars(statement)))


def slots(edge: Edge, person: Person) -> dict[int, list[int]]:
    """Return the servers of each slot's relays, the oldest generation first."""
    found: dict[int, list[int]] = {}
    for one in edge.read(containers.placements_of, user_id=person.id):
        found.setdefault(one.slot, []).append(one.server_id)
    return found


def all_moves(edge: Edge) -> list[SlotMove]:
    return rows(edge, select(SlotMove).order_by(SlotMove.id))


def spare_of(edge: Edge, person: Person, servers: Sequence[int]) -> int:
    used = {server_id for some in slots(edge, person).values() for server_id in some}
    [spare] = set(servers) - used
    return spare


def open_alerts(edge: Edge) -> set[str]:
    found = rows(edge, select(SystemAlert.open_key).where(SystemAlert.open_key.is_not(None)))
    return {str(key).partition(":")[0] for key in found}


def test_a_living_relay_serves_until_the_next_is_ready(
    edge: Edge, carl: Person, activate: Activate, servers: list[int], mover: Mover
) -> None:
    rental = activate(carl)
    before = edge.read(containers.placements_of, user_id=carl.id)
    spare = spare_of(edge, carl, servers)
    edge(move_orders.ask, rental_id=rental.id, slot=2, cause=Cause.ASKED)
    mover.step()
    assert slots(edge, carl)[2] == [before[1].server_id, spare]
    [move] = all_moves(edge)
    assert (move.status, move.to_server_id) == (MoveStatus.PREPARING, spare)
    mover.step()
    version = edge.read(acl.current, user_id=carl.id)
    assert version is not None
    assert version.number == 1, "no map names a relay that is not ready"
    make_ready(edge)
    mover.step()
    version = edge.read(acl.current, user_id=carl.id)
    assert version is not None
    assert (version.number, version.reason) == (2, "moved")
    after = edge.read(containers.placements_of, user_id=carl.id)
    new = next(one for one in after if one.server_id == spare)
    assert new.region_id == before[1].region_id, "the region is redefined"
    assert new.pin in usage.pins_of(version)
    assert before[1].pin not in usage.pins_of(version)
    assert slots(edge, carl)[2] == [before[1].server_id, spare], "the old one stays for now"
    assert all_moves(edge)[0].status is MoveStatus.SWITCHED


def test_a_relay_of_a_dead_server_is_replaced_with_its_map_at_once_and_kept(
    edge: Edge, carl: Person, activate: Activate, servers: list[int], mover: Mover
) -> None:
    activate(carl)
    [dead] = slots(edge, carl)[1]
    spare = spare_of(edge, carl, servers)
    put(edge, dead, ServerStatus.DEAD)
    mover.step()
    version = edge.read(acl.current, user_id=carl.id)
    assert version is not None
    assert (version.number, version.reason) == (2, "failover")
    assert slots(edge, carl)[1] == [dead, spare], "who pastes by hand may need the old one yet"
    [move] = all_moves(edge)
    assert (move.cause, move.status) == (Cause.FAILOVER, MoveStatus.SWITCHED)
    for _ in range(3):
        mover.sweep()
        mover.step()
    assert len(all_moves(edge)) == 1


def test_a_server_that_flaps_costs_one_move(
    edge: Edge, carl: Person, activate: Activate, mover: Mover, clock: MovableClock
) -> None:
    activate(carl)
    [dead] = slots(edge, carl)[1]
    for _ in range(5):
        put(edge, dead, ServerStatus.DEAD)
        mover.step()
        clock.advance(seconds=20)
        put(edge, dead, ServerStatus.RECOVERING)
        mover.step()
        mover.sweep()
        clock.advance(seconds=20)
    assert len(all_moves(edge)) == 1


def test_nothing_moves_while_the_panel_seems_cut_off(
    edge: Edge, carl: Person, activate: Activate, servers: list[int], mover: Mover
) -> None:
    activate(carl)
    for server_id in servers[:3]:
        put(edge, server_id, ServerStatus.DEAD)
    mover.step()
    assert all_moves(edge) == []
    assert "moves_frozen" in open_alerts(edge)
    with pytest.raises(MovesFrozen):
        edge(service.fail_over_by_hand)
    for server_id in servers[:2]:
        put(edge, server_id, ServerStatus.HEALTHY)
    mover.sweep()
    assert "moves_frozen" not in open_alerts(edge)


def test_a_named_server_is_failed_over_also_while_moves_are_frozen(
    edge: Edge, carl: Person, activate: Activate, servers: list[int], mover: Mover
) -> None:
    activate(carl)
    spare = spare_of(edge, carl, servers)
    lost = [server_id for server_id in servers if server_id != spare]
    for server_id in lost:
        put(edge, server_id, ServerStatus.UNHEALTHY)
    assert edge(service.fail_over_by_hand, server_id=lost[0]).moves == 1
    with pytest.raises(NotUnhealthy):
        edge(service.fail_over_by_hand, server_id=spare)
    mover.step()
    assert [move.to_server_id for move in all_moves(edge)] == [spare]


def test_two_slots_share_a_server_when_there_is_no_other_and_are_mended(
    edge: Edge, carl: Person, activate: Activate, servers: list[int], mover: Mover
) -> None:
    activate(carl)
    spare = spare_of(edge, carl, servers)
    edge(draining.drain, server_id=spare, reason=draining.BY_HAND)
    [dead] = slots(edge, carl)[1]
    put(edge, dead, ServerStatus.DEAD)
    mover.step()
    [move] = all_moves(edge)
    assert move.is_shared
    assert slots(edge, carl)[1][1] in (slots(edge, carl)[2][0], slots(edge, carl)[3][0])
    mover.sweep()
    assert len(all_moves(edge)) == 1, "nowhere better to go"
    edge(draining.undrain, server_id=spare)
    version = edge.read(acl.current, user_id=carl.id)
    assert version is not None
    edge(
        usage.record,
        user_id=carl.id,
        version_id=version.id,
        evidence=usage.Evidence.PUSHED,
    )
    make_ready(edge)
    mover.sweep()
    mover.step()
    make_ready(edge)
    mover.step()
    newest = {slot: some[-1] for slot, some in slots(edge, carl).items()}
    assert newest[1] == spare
    assert [one.cause for one in all_moves(edge)] == [Cause.FAILOVER, Cause.MENDED]


def test_without_any_server_it_waits_and_says_so(
    edge: Edge, carl: Person, activate: Activate, servers: list[int], mover: Mover,
    clock: MovableClock,
) -> None:  # fmt: skip
    activate(carl)
    [dead] = slots(edge, carl)[1]
    put(edge, dead, ServerStatus.DEAD)
    for server_id in servers:
        if server_id != dead:
            edge(draining.drain, server_id=server_id, reason=draining.BY_HAND)
    mover.step()
    [move] = all_moves(edge)
    assert (move.status, move.error) == (MoveStatus.WAITING, moves.NO_SERVER)
    assert "moves_stuck" in open_alerts(edge)
    for server_id in servers:
        if server_id != dead:
            edge(draining.undrain, server_id=server_id)
    clock.advance(seconds=16)
    mover.step()
    assert all_moves(edge)[0].status is MoveStatus.SWITCHED
    mover.sweep()
    assert "moves_stuck" not in open_alerts(edge)


def test_a_next_relay_that_does_not_come_up_is_given_up_and_another_place_tried(
    edge: Edge, carl: Person, activate: Activate, mover: Mover, clock: MovableClock
) -> None:
    rental = activate(carl)
    edge(move_orders.ask, rental_id=rental.id, slot=1, cause=Cause.ASKED)
    for tries in range(1, 4):
        mover.step()
        assert len(slots(edge, carl)[1]) == 2
        clock.advance(seconds=61)
        mover.step()
        assert len(slots(edge, carl)[1]) == 1
        assert all_moves(edge)[0].tries == tries
        clock.advance(seconds=16)
    assert all_moves(edge)[0].status is MoveStatus.FAILED
    mover.sweep()
    assert "move_failed" in open_alerts(edge), "until one succeeds"
    version = edge.read(acl.current, user_id=carl.id)
    assert version is not None
    assert version.number == 1
    edge(move_orders.ask, rental_id=rental.id, slot=1, cause=Cause.ASKED)
    mover.step()
    make_ready(edge)
    mover.step()
    assert "move_failed" not in open_alerts(edge)


def test_a_server_that_dies_while_the_next_relay_starts_is_not_waited_for(
    edge: Edge, carl: Person, activate: Activate, mover: Mover
) -> None:
    rental = activate(carl)
    [old] = slots(edge, carl)[1]
    edge(move_orders.ask, rental_id=rental.id, slot=1, cause=Cause.DRAINED)
    mover.step()
    put(edge, old, ServerStatus.DEAD)
    mover.step()
    assert all_moves(edge)[0].status is MoveStatus.SWITCHED


def test_the_next_server_dies_too_and_there_are_never_three_generations(
    edge: Edge, carl: Person, activate: Activate, servers: list[int], mover: Mover,
    add_server: AddServer,
) -> None:  # fmt: skip
    activate(carl)
    for _ in range(4):  # a healthy majority
        add_server()
    [first] = slots(edge, carl)[1]
    put(edge, first, ServerStatus.DEAD)
    mover.step()
    second = slots(edge, carl)[1][1]
    put(edge, second, ServerStatus.DEAD)
    mover.step()
    generations = slots(edge, carl)[1]
    assert len(generations) == 2
    assert generations[0] == first, "his map may still be the first"
    assert generations[1] not in (first, second)
    version = edge.read(acl.current, user_id=carl.id)
    assert version is not None
    assert version.number == 3


def test_whose_home_died_comes_first_then_who_has_least(
    edge: Edge, person: Callable[..., Person], activate: Activate, servers: list[int]
) -> None:
    people = [person(name) for name in ("dora", "emil", "finn")]
    for one in people:
        activate(one)
    shared = next(
        server_id
        for server_id in servers
        if all([server_id] in slots(edge, one).values() for one in people)
        or sum([server_id] in slots(edge, one).values() for one in people) >= 2
    )
    there = [one for one in people if [shared] in slots(edge, one).values()]
    home = there[-1]

    def be_present(work: Any) -> None:
        relay = work.session.scalar(
            select(Placement).where(Placement.user_id == home.id, Placement.server_id == shared)
        )
        work.session.add(
            Presence(
                placement_id=relay.id,
                node_key="nodekey:" + "a" * 64,
                user_id=home.id,
                server_id=shared,
                address="192.0.2.1:1",
                since=work.now,
            )
        )

    edge(be_present)
    put(edge, shared, ServerStatus.DEAD)
    assert edge(service.fail_over, server_id=shared) == len(there)
    first = edge.read(service.startable, limits=MANY, most=1)
    [move] = [one for one in all_moves(edge) if one.id == first[0]]
    assert move.user_id == home.id


def test_moves_keep_to_the_fleets_limits(
    edge: Edge, person: Callable[..., Person], activate: Activate, servers: list[int],
    clock: MovableClock, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for number in range(6):
        activate(person(f"many{number}"))
    dead = servers[0]
    put(edge, dead, ServerStatus.DEAD)
    mover = Mover(edge, limits=Limits(per_minute=2, share_percent=100), after_seconds=0)
    for _ in range(3):
        mover.step()
    assert len([one for one in all_moves(edge) if one.begun_at]) == 2
    clock.advance(seconds=61)
    mover.step()
    asked = len(all_moves(edge))
    assert len([one for one in all_moves(edge) if one.begun_at]) == min(4, asked)
    monkeypatch.setattr(service, "LEAST_BY_SHARE", 1)
    clock.advance(seconds=61)
    tight = Mover(edge, limits=Limits(per_minute=9, share_percent=1), after_seconds=0)
    tight.step()
    tight.sweep()
    begun = len([one for one in all_moves(edge) if one.begun_at])
    assert begun == min(4, asked)
    if begun < asked:
        assert "moves_limited" in open_alerts(edge)


def test_one_move_per_slot_and_none_to_where_it_is(
    edge: Edge, carl: Person, activate: Activate, servers: list[int]
) -> None:
    rental = activate(carl)
    spare = spare_of(edge, carl, servers)
    first = edge(move_orders.ask, rental_id=rental.id, slot=1, cause=Cause.ASKED)
    again = edge(move_orders.ask, rental_id=rental.id, slot=1, server_id=spare, cause=Cause.DRAINED)
    assert (again.id, again.wished_server_id) == (first.id, spare)
    [here] = slots(edge, carl)[2]
    with pytest.raises(AlreadyThere):
        edge(move_orders.ask, rental_id=rental.id, slot=2, server_id=here, cause=Cause.ASKED)


def test_a_rental_that_ends_ends_its_moves(
    edge: Edge, carl: Person, activate: Activate, mover: Mover
) -> None:
    rental = activate(carl)
    edge(move_orders.ask, rental_id=rental.id, slot=1, cause=Cause.ASKED)
    mover.step()
    edge(move_orders.ask, rental_id=rental.id, slot=2, cause=Cause.ASKED)
    edge(rentals.end, rental_id=rental.id, reason="test")
    mover.step()
    assert {one.status for one in all_moves(edge)} == {MoveStatus.CANCELLED}
    assert slots(edge, carl) == {}


def test_a_drained_server_gets_nothing_new_and_an_undrain_takes_waiting_moves_back(
    edge: Edge, carl: Person, activate: Activate, servers: list[int]
) -> None:
    activate(carl)
    [there] = slots(edge, carl)[1]
    edge(service.drain, server_id=there, is_moving_off=True)
    assert there not in [one.id for one in edge(containers.servers.candidates)]
    assert [one.cause for one in all_moves(edge)] == [Cause.DRAINED]
    edge(service.undrain, server_id=there)
    assert [one.status for one in all_moves(edge)] == [MoveStatus.CANCELLED]
    assert there in [one.id for one in edge(containers.servers.candidates)]


def test_a_living_server_leaves_when_the_new_map_is_taken_or_patience_is_over(
    edge: Edge, carl: Person, activate: Activate, servers: list[int], mover: Mover,
    clock: MovableClock,
) -> None:  # fmt: skip
    activate(carl)
    [there] = slots(edge, carl)[1]
    assert edge(service.leave, server_id=there, reason="old") == 1
    mover.step()
    make_ready(edge)
    mover.step()
    mover.sweep()
    [former] = rows(edge, select(AclVersion).where(AclVersion.status == AclStatus.SUPERSEDED))
    assert former.expires_at == clock.now + moves.PATIENCE, "his notices say the right time"
    assert slots(edge, carl)[1][0] == there
    clock.advance(hours=73)
    edge(overlap.attend, version_id=former.id)
    assert there not in {one for some in slots(edge, carl).values() for one in some}
    mover.sweep()
    server = edge.read(lambda work: work.session.get_one(Server, there))
    assert server.status is ServerStatus.REMOVED
    assert rows(edge, select(ServerJob.kind).where(ServerJob.server_id == there)) == ["remove"]
    assert all_moves(edge)[0].status is MoveStatus.DONE


def test_a_dead_server_is_removed_the_same_way(
    edge: Edge, carl: Person, activate: Activate, mover: Mover
) -> None:
    activate(carl)
    [dead] = slots(edge, carl)[1]
    put(edge, dead, ServerStatus.DEAD)
    mover.step()
    edge(service.leave, server_id=dead)
    mover.sweep()
    mover.sweep()
    assert edge.read(lambda work: work.session.get_one(Server, dead)).status is (
        ServerStatus.REMOVED
    )
    assert len(slots(edge, carl)[1]) == 1


def test_a_server_that_was_given_up_is_never_trusted_again(
    edge: Edge, carl: Person, activate: Activate, mover: Mover
) -> None:
    activate(carl)
    before = {one.slot: one for one in edge.read(containers.placements_of, user_id=carl.id)}
    there = before[1].server_id
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8hyn6Bd4UmWfMGTGjRWzEHf1G9JUfjUVZK4KQv5bN3"
    edge(
        lambda work: work.session.execute(
            update(Server).where(Server.id == there).values(host_key=key, ssh_key="sealed")
        )
    )
    assert edge(service.give_up, server_id=there, reason="stolen") == 1
    mover.step()
    keys = select(Server.status, Server.host_key, Server.ssh_key).where(Server.id == there)
    row = edge.read(lambda work: work.session.execute(keys).one())
    assert tuple(row) == (ServerStatus.GIVEN_UP, None, None)
    [refused] = rows(edge, select(RefusedHostKey))
    assert edge(draining.refusal, host_key=key) == refused.reason == "stolen"
    after = {one.slot: one for one in edge.read(containers.placements_of, user_id=carl.id)}
    assert after[1].server_id != there
    assert after[1].pin != before[1].pin
    version = edge.read(acl.current, user_id=carl.id)
    assert version is not None
    assert before[1].pin not in usage.pins_of(version)
    gone = edge.read(lambda work: work.session.get_one(Placement, before[1].id))
    assert (gone.wanted, gone.gone_at is not None) == (Wanted.RELEASED, True)


def test_a_server_at_its_margin_is_moved_off_and_used_again_next_month(
    edge: Edge, carl: Person, activate: Activate, mover: Mover
) -> None:
    activate(carl)
    [there] = slots(edge, carl)[1]
    edge(service.follow_margin, server_id=there, action="stop")
    assert all_moves(edge) == []
    edge(service.follow_margin, server_id=there, action="move")
    assert [one.cause for one in all_moves(edge)] == [Cause.MARGIN]
    assert there not in [one.id for one in edge(containers.servers.candidates)]
    edge(service.end_margin_drains)
    assert there in [one.id for one in edge(containers.servers.candidates)]


def test_several_movers_at_once_make_one_relay_per_slot(
    edge: Edge, person: Callable[..., Person], activate: Activate, servers: list[int]
) -> None:
    people = [person(f"race{number}") for number in range(4)]
    for one in people:
        activate(one)
    put(edge, servers[0], ServerStatus.DEAD)
    hit = [one for one in people if [servers[0]] in slots(edge, one).values()]
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        Mover(edge, limits=MANY, after_seconds=0).step()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Mover(edge, limits=MANY, after_seconds=0).step()
    assert len(all_moves(edge)) == len(hit)
    assert {one.status for one in all_moves(edge)} <= {MoveStatus.SWITCHED}
    for one in people:
        generations = sorted(len(some) for some in slots(edge, one).values())
        assert generations == ([1, 1, 2] if one in hit else [1, 1, 1])


def test_what_a_mover_left_half_done_another_takes_on(
    edge: Edge, carl: Person, activate: Activate
) -> None:
    rental = activate(carl)
    edge(move_orders.ask, rental_id=rental.id, slot=1, cause=Cause.ASKED)
    Mover(edge, limits=MANY, after_seconds=None).step()  # and it is killed here
    make_ready(edge)
    Mover(edge, limits=MANY, after_seconds=None).step()
    assert all_moves(edge)[0].status is MoveStatus.SWITCHED
    assert edge(moves.go_on, move_id=all_moves(edge)[0].id) is MoveStatus.SWITCHED
    assert len(rows(edge, select(AclVersion))) == 2, "told twice, done once"


def test_asking_for_many_costs_few_statements(
    edge: Edge, person: Callable[..., Person], activate: Activate, servers: list[int],
    statements: list[str],
) -> None:  # fmt: skip
    counts: list[int] = []
    for number in range(8):
        activate(person(f"busy{number}"))
        if number in (2, 7):
            put(edge, servers[1], ServerStatus.DEAD)
            statements.clear()
            edge(service.fail_over, server_id=servers[1])
            counts.append(len(statements))
            put(edge, servers[1], ServerStatus.HEALTHY)
            edge(move_orders.cancel_of_server, server_id=servers[1], causes=list(Cause))
    assert counts[1] <= counts[0] + 1
