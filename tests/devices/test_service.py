"""Registering, removing and approving devices; the plan's limit under races."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import select

from derpman.containers import reconcile
from derpman.containers.models import Admission, Placement
from derpman.devices import queries, service, sightings
from derpman.devices.errors import (
    AlreadyRegistered,
    DeviceNotFound,
    KnockNotFound,
    LimitReached,
    NoRental,
)
from derpman.devices.keys import Seen
from derpman.devices.models import Device, Knock, Presence, Source
from derpman.devices.sightings import PresenceBook
from derpman.devices.states import DeviceStatus, KnockStatus
from derpman.kit.outbox import Delivery
from derpman.kit.states import IllegalTransition
from derpman.kit.work import Edge, UnitOfWork
from derpman.rentals import service as rentals
from derpman.rentals.models import Rental
from tests.conftest import MovableClock, Person


def key(number: int) -> str:
    return f"nodekey:{number:064x}"


def register(edge: Edge, person: Person, number: int) -> Device:
    return edge(
        service.register,
        user_id=person.id,
        node_key=key(number),
        name=f"device {number}",
        source=Source.NODE_KEY,
    )


def admitted(edge: Edge, person: Person) -> set[str]:
    return edge.read(
        lambda work: set(
            work.session.scalars(select(Admission.node_key).where(Admission.user_id == person.id))
        )
    )


def knocks(edge: Edge, person: Person, status: KnockStatus = KnockStatus.WAITING) -> list[Knock]:
    return edge.read(lambda work: list(work.session.scalars(queries.knocks_of(person.id, status))))


def knock(edge: Edge, relay: Placement, number: int, address: str = "198.51.100.9") -> None:
    report = {"relay": relay.id, "key": key(number), "address": address, "count": 1}
    edge(sightings.record_knocks, server_id=relay.server_id, knocks=[report])


def events(edge: Edge) -> list[str]:
    return edge.read(lambda work: list(work.session.scalars(select(Delivery.event))))


def test_registered_device_is_let_in_on_all_three_relays(
    edge: Edge, carl: Person, relays: list[Placement]
) -> None:
    device = register(edge, carl, 1)
    assert device.status is DeviceStatus.REGISTERED
    for relay in relays:
        wanted = edge.read(reconcile.desired_state, server_id=relay.server_id, force=True)
        assert wanted is not None
        assert [one["key"] for one in wanted["relays"][0]["devices"]] == [key(1)]


def test_removed_device_is_refused_everywhere_and_frees_its_place(
    edge: Edge, carl: Person, rental: Rental, relays: list[Placement]
) -> None:
    devices = [register(edge, carl, number) for number in range(1, rental.device_limit + 1)]
    with pytest.raises(LimitReached):
        register(edge, carl, 99)
    before = edge.read(reconcile.desired_state, server_id=relays[0].server_id, force=True)
    edge(service.remove, user_id=carl.id, device_id=devices[0].id)
    after = edge.read(reconcile.desired_state, server_id=relays[0].server_id, force=True)
    assert before is not None
    assert after is not None
    assert after["generation"] > before["generation"]
    assert key(1) not in admitted(edge, carl)
    assert register(edge, carl, 99).seat == devices[0].seat


def test_device_comes_back_as_the_same_row(edge: Edge, carl: Person, rental: Rental) -> None:
    first = register(edge, carl, 1)
    edge(service.remove, user_id=carl.id, device_id=first.id)
    assert register(edge, carl, 1).id == first.id
    with pytest.raises(AlreadyRegistered):
        register(edge, carl, 1)


def test_removing_twice_is_refused(edge: Edge, carl: Person, rental: Rental) -> None:
    device = register(edge, carl, 1)
    edge(service.remove, user_id=carl.id, device_id=device.id)
    with pytest.raises(IllegalTransition):
        edge(service.remove, user_id=carl.id, device_id=device.id)


def test_without_a_rental_nothing_can_be_registered(edge: Edge, eve: Person) -> None:
    with pytest.raises(NoRental):
        register(edge, eve, 1)


def test_limit_holds_when_all_register_at_once(edge: Edge, carl: Person, rental: Rental) -> None:
    refused: list[int] = []

    def try_one(number: int) -> None:
        try:
            register(edge, carl, number)
        except LimitReached:
            refused.append(number)

    wanted = rental.device_limit + 4
    threads = [threading.Thread(target=try_one, args=(number,)) for number in range(1, wanted + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(admitted(edge, carl)) == rental.device_limit
    assert len(refused) == 4


def test_same_key_under_two_customers_is_nobody_elses_business(
    edge: Edge, carl: Person, eve: Person, rent: Callable[[Person], Rental]
) -> None:
    """Node keys are public: if one customer could block another's, eve would."""
    rent(carl)
    rent(eve)
    register(edge, eve, 1)
    assert register(edge, carl, 1).user_id == carl.id


def test_anothers_device_does_not_exist(
    edge: Edge, carl: Person, eve: Person, rental: Rental
) -> None:
    device = register(edge, carl, 1)
    with pytest.raises(DeviceNotFound):
        edge(service.remove, user_id=eve.id, device_id=device.id)


def test_import_takes_what_the_plan_allows(edge: Edge, carl: Person, rental: Rental) -> None:
    register(edge, carl, 1)
    count = rental.device_limit + 2
    seen = [Seen(key(number), f"n{number}", "linux") for number in range(1, count + 1)]
    results = [result for _, result in edge(service.import_seen, user_id=carl.id, seen=seen)]
    assert results[0] == "already_registered"
    assert results.count("registered") == rental.device_limit - 1
    assert results.count("limit_reached") == 2


def test_unknown_device_waits_and_the_customer_is_told_once(
    edge: Edge, carl: Person, relays: list[Placement], clock: MovableClock
) -> None:
    knock(edge, relays[0], 7)
    clock.advance(seconds=5)
    knock(edge, relays[1], 7, "203.0.113.50")
    [waiting] = knocks(edge, carl)
    assert (waiting.count, waiting.slot) == (2, relays[1].slot)
    assert waiting.ip_address == "203.0.113.50"
    assert waiting.first_at < waiting.last_at == clock.now
    assert events(edge).count("device.knocked") == 1


def test_approved_device_is_let_in(edge: Edge, carl: Person, relays: list[Placement]) -> None:
    knock(edge, relays[0], 7)
    [waiting] = knocks(edge, carl)
    edge(service.approve, user_id=carl.id, knock_id=waiting.id, name="phone")
    assert admitted(edge, carl) == {key(7)}
    assert knocks(edge, carl) == []


def test_approving_in_anothers_place(edge: Edge, carl: Person, relays: list[Placement]) -> None:
    old = register(edge, carl, 1)
    knock(edge, relays[0], 7)
    [waiting] = knocks(edge, carl)
    new = edge(service.approve, user_id=carl.id, knock_id=waiting.id, replaces_device_id=old.id)
    assert new.name == old.name
    assert admitted(edge, carl) == {key(7)}


def test_removed_device_that_knocks_waits_again(
    edge: Edge, carl: Person, relays: list[Placement]
) -> None:
    knock(edge, relays[0], 7)
    [waiting] = knocks(edge, carl)
    device = edge(service.approve, user_id=carl.id, knock_id=waiting.id)
    edge(service.remove, user_id=carl.id, device_id=device.id)
    knock(edge, relays[0], 7)
    assert [one.id for one in knocks(edge, carl)] == [waiting.id]
    assert events(edge).count("device.knocked") == 2


def test_blocked_device_stays_out_of_list_and_pairing(
    edge: Edge, carl: Person, relays: list[Placement]
) -> None:
    knock(edge, relays[0], 7)
    [waiting] = knocks(edge, carl)
    edge(service.block, user_id=carl.id, knock_id=waiting.id)
    edge(service.open_pairing, user_id=carl.id, minutes=10)
    knock(edge, relays[0], 7)
    assert knocks(edge, carl) == []
    assert admitted(edge, carl) == set()
    edge(service.unblock, user_id=carl.id, knock_id=waiting.id)
    assert len(knocks(edge, carl)) == 1


def test_anothers_knock_does_not_exist(
    edge: Edge, carl: Person, eve: Person, relays: list[Placement]
) -> None:
    knock(edge, relays[0], 7)
    [waiting] = knocks(edge, carl)
    for verb in (service.approve, service.block, service.unblock):
        with pytest.raises(KnockNotFound):
            edge(verb, user_id=eve.id, knock_id=waiting.id)


def test_pairing_takes_devices_up_to_the_limit_and_while_it_is_open(
    edge: Edge, carl: Person, rental: Rental, relays: list[Placement], clock: MovableClock
) -> None:
    knock(edge, relays[0], 1)
    window = edge(service.open_pairing, user_id=carl.id, minutes=10)
    assert admitted(edge, carl) == {key(1)}, "one that waits already comes first"
    assert window.taken == 1
    for number in range(2, rental.device_limit + 3):
        knock(edge, relays[number % 3], number)
    assert len(admitted(edge, carl)) == rental.device_limit
    assert len(knocks(edge, carl)) == 2
    edge(service.remove, user_id=carl.id, device_id=1)
    clock.advance(minutes=10)
    knock(edge, relays[0], 99)
    assert key(99) not in admitted(edge, carl)


def test_closed_pairing_takes_nobody(edge: Edge, carl: Person, relays: list[Placement]) -> None:
    edge(service.open_pairing, user_id=carl.id, minutes=10)
    edge(service.close_pairing, user_id=carl.id)
    knock(edge, relays[0], 1)
    assert admitted(edge, carl) == set()


def test_a_node_speaks_only_for_its_own_relays(
    edge: Edge, carl: Person, relays: list[Placement]
) -> None:
    report = {"relay": relays[0].id, "key": key(1), "address": "198.51.100.9", "count": 1}
    edge(sightings.record_knocks, server_id=relays[1].server_id, knocks=[report])
    assert knocks(edge, carl) == []


def test_a_flood_of_keys_pushes_out_the_oldest_only(
    edge: Edge, carl: Person, relays: list[Placement], clock: MovableClock
) -> None:
    for batch in range(3):
        reports = [
            {
                "relay": relays[0].id,
                "key": key(1 + batch * 100 + n),
                "address": f"198.51.{n}.1",
                "count": 1,
            }
            for n in range(100)
        ]
        edge(sightings.record_knocks, server_id=relays[0].server_id, knocks=reports)
        clock.advance(seconds=1)
    waiting = {one.node_key for one in knocks(edge, carl)}
    assert len(waiting) == sightings.MAX_WAITING
    assert key(1) not in waiting
    assert key(300) in waiting


def test_a_flood_from_one_network_pushes_out_its_own_only(
    edge: Edge, carl: Person, relays: list[Placement], clock: MovableClock
) -> None:
    knock(edge, relays[0], 1)  # the device that he waits for, from elsewhere
    for batch in range(3):
        clock.advance(seconds=1)
        reports = [
            {
                "relay": relays[0].id,
                "key": key(100 + batch * 100 + n),
                "address": f"203.0.113.{n}",
                "count": 1,
            }
            for n in range(100)
        ]
        edge(sightings.record_knocks, server_id=relays[0].server_id, knocks=reports)
    waiting = {one.node_key for one in knocks(edge, carl)}
    assert key(1) in waiting
    assert len(waiting) == 1 + sightings.MAX_OF_NETWORK


def snapshot(relay: Placement, *keys: int, whole: bool = True) -> dict[str, object]:
    present = [{"key": key(n), "address": f"198.51.100.{n}:1", "since": "-"} for n in keys]
    return {"whole": whole, "relays": [{"id": relay.id, "presence": present}], "removed": []}


def presence(work: UnitOfWork) -> set[tuple[int, str]]:
    return {(row.placement_id, row.node_key) for row in work.session.scalars(select(Presence))}


def test_presence_follows_the_node(
    edge: Edge, carl: Person, relays: list[Placement], clock: MovableClock
) -> None:
    device = register(edge, carl, 1)
    relay, book = relays[0], PresenceBook()

    def report(*keys: int, whole: bool = True) -> None:
        edge(
            sightings.record_presence,
            server_id=relay.server_id,
            snapshot=snapshot(relay, *keys, whole=whole),
            book=book,
        )

    report(1, 2)
    assert edge.read(presence) == {(relay.id, key(1)), (relay.id, key(2))}
    report(1, whole=False)
    assert edge.read(presence) == {(relay.id, key(1))}
    connected = edge.read(queries.connections_of, user_id=carl.id)
    assert [one["slot"] for one in connected[key(1)]] == [relay.slot]
    assert edge.read(service.get, user_id=carl.id, device_id=device.id).last_seen_at == clock.now
    book = PresenceBook()  # another worker
    report()
    assert edge.read(presence) == set()


def test_presence_that_did_not_commit_is_written_next_time(
    edge: Edge, carl: Person, relays: list[Placement]
) -> None:
    relay, book = relays[0], PresenceBook()

    def record_and_fail(work: UnitOfWork) -> None:
        sightings.record_presence(
            work, server_id=relay.server_id, snapshot=snapshot(relay, 1), book=book
        )
        raise RuntimeError

    with pytest.raises(RuntimeError):
        edge(record_and_fail)
    edge(
        sightings.record_presence,
        server_id=relay.server_id,
        snapshot=snapshot(relay, 1),
        book=book,
    )
    assert edge.read(presence) == {(relay.id, key(1))}


def test_unchanged_presence_costs_no_statement(
    edge: Edge, relays: list[Placement], system: object
) -> None:
    from sqlalchemy import event

    relay, book = relays[0], PresenceBook()
    statements: list[str] = []

    def report() -> None:
        edge(
            sightings.record_presence,
            server_id=relay.server_id,
            snapshot=snapshot(relay, 1),
            book=book,
        )

    report()
    event.listen(
        system.engine,  # type: ignore[attr-defined]
        "before_cursor_execute",
        lambda _c, _u, statement, *_: statements.append(statement),
    )
    report()
    assert [one for one in statements if not one.startswith("BEGIN")] == []


def test_devices_outlive_the_rental(edge: Edge, carl: Person, rental: Rental) -> None:
    register(edge, carl, 1)
    edge(rentals.end, rental_id=rental.id, reason="test")
    assert len(edge.read(queries.devices_of, user_id=carl.id)) == 1
