from __future__ import annotations

from sqlalchemy import select, update

from derpman.containers.models import Admission
from derpman.devices import forgetting, queries, service
from derpman.devices.models import Device, Source
from derpman.kit.work import Edge
from derpman.rentals import closing
from derpman.rentals.models import Rental
from tests.conftest import MovableClock, Person


def key(number: int) -> str:
    return f"nodekey:{number:064x}"


def register(edge: Edge, clock: MovableClock, person: Person, count: int) -> None:
    for number in range(1, count + 1):
        clock.advance(minutes=1)
        edge(
            service.register,
            user_id=person.id,
            node_key=key(number),
            name=f"device{number}",
            source=Source.NODE_KEY,
        )


def test_smaller_plan_keeps_the_devices_that_were_there_first(
    edge: Edge, clock: MovableClock, carl: Person, rental: Rental
):
    register(edge, clock, carl, 5)
    first = edge.read(queries.devices_of, user_id=carl.id)
    edge(service.remove, user_id=carl.id, device_id=min(one.id for one in first))
    edge(lambda work: work.session.execute(update(Rental).values(device_limit=3)))
    for _ in range(2):  # told twice, it happens once
        edge(forgetting.fit, rental_id=rental.id, user_id=carl.id)
    kept = edge.read(queries.devices_of, user_id=carl.id)
    assert {one.node_key for one in kept} == {key(2), key(3), key(4)}
    assert {one.seat for one in kept} <= {1, 2, 3}
    admitted = edge.read(lambda work: set(work.session.scalars(select(Admission.node_key))))
    assert admitted == {key(2), key(3), key(4)}


def test_devices_of_a_closed_account_are_removed_and_of_no_other(
    edge: Edge, clock: MovableClock, carl: Person, rental: Rental
):
    register(edge, clock, carl, 2)
    edge(forgetting.forget, user_id=carl.id)
    assert len(edge.read(queries.registered_keys, user_id=carl.id)) == 2
    edge(closing.ask, user_id=carl.id, gives_up_rental=True)
    edge(forgetting.forget, user_id=carl.id)
    assert edge.read(queries.registered_keys, user_id=carl.id) == set()
    seats = edge.read(lambda work: set(work.session.scalars(select(Device.seat))))
    assert seats == {None}
