from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from derpman.access.models import LoginSession
from derpman.acl import service as acl
from derpman.acl.models import AclLog, AclVersion
from derpman.acl.states import AclStatus
from derpman.alerts.models import SystemAlert
from derpman.containers import service as containers
from derpman.containers.errors import NotEnoughServers
from derpman.containers.models import Admission, Placement, PortClaim
from derpman.containers.states import Wanted
from derpman.finance import service as finance
from derpman.kit.errors import DomainError
from derpman.kit.outbox import Delivery
from derpman.kit.states import IllegalTransition
from derpman.kit.work import Edge
from derpman.logs.models import SystemLog, UserHistory, UserLog
from derpman.rentals import queries, service
from derpman.rentals.errors import (
    AlreadyActive,
    NoEmptySlot,
    NoOpenRental,
    RentalSuspended,
    SlotTaken,
)
from derpman.rentals.models import Rental
from derpman.rentals.states import RentalStatus
from derpman.serials import service as serials
from derpman.serials.errors import SerialExpired, SerialMistyped, SerialUsed, SerialUsedByYou
from derpman.serials.models import Serial
from derpman.serials.states import SerialStatus
from derpman.users import service as users
from derpman.users.errors import NotYourself, Suspended
from tests.conftest import HeardWake, MovableClock, Person
from tests.rentals.conftest import Activate, NewCode

KEY = "nodekey:" + "ab" * 32


def rows(edge: Edge, statement: Any) -> list:
    return edge.read(lambda work: list(work.session.scalars(statement)))


def test_serial_becomes_a_rental_with_three_relays_and_an_acl(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    heard: HeardWake,
    carl: Person,
    activate: Activate,
    new_code: NewCode,
):
    code = new_code()
    heard.topics.clear()
    rental = activate(carl, code.lower().replace("-", " "))
    assert rental.expires_at == clock.now + timedelta(days=30)
    plan = edge.read(finance.plan_of_days, 30)
    assert (rental.traffic_bytes, rental.device_limit) == (plan.traffic_bytes, plan.device_limit)
    placements = edge.read(containers.placements_of, rental_id=rental.id)
    assert sorted(one.server_id for one in placements) == servers
    version = edge.read(acl.current, user_id=carl.id)
    assert version is not None
    assert all(one.pin in version.document for one in placements)
    [serial] = rows(edge, select(Serial))
    assert (serial.status, serial.user_id, serial.used_at) == ("used", carl.id, clock.now)
    assert edge.read(users.get, carl.id).rental_expiry == rental.expires_at
    assert "rental.activated" in rows(edge, select(Delivery.event))
    assert {"servers", "deliveries"} <= set(heard.topics)
    assert "rental.activate" in rows(edge, select(SystemLog.action))
    assert "rental.activate" in rows(edge, select(UserLog.action))
    assert "rental.activated" in rows(edge, select(UserHistory.kind))
    assert len(rows(edge, select(AclLog))) == 1


def test_activation_needs_few_statements(
    statements: list[str], edge: Edge, servers: list[int], carl: Person, new_code: NewCode
):
    code = new_code()
    statements.clear()
    edge(service.activate, code=code, user_id=carl.id)
    assert len(statements) <= 45, "\n".join(statements)


def test_too_few_servers_spend_nothing(
    edge: Edge, add_server: Callable[..., int], carl: Person, activate: Activate
):
    for _ in range(2):
        add_server()
    with pytest.raises(NotEnoughServers):
        activate(carl)
    assert rows(edge, select(Serial.status)) == [SerialStatus.UNUSED]
    for table in (Rental, Placement, PortClaim, AclVersion, UserHistory):
        assert rows(edge, select(table)) == []
    assert edge.read(users.get, carl.id).rental_expiry is None


def test_second_serial_for_an_active_rental_is_not_spent(
    edge: Edge, servers: list[int], carl: Person, activate: Activate, new_code: NewCode
):
    activate(carl)
    second = new_code()
    with pytest.raises(AlreadyActive):
        activate(carl, second)
    assert rows(edge, select(Serial.status).where(Serial.code == second)) == ["unused"]


def test_used_serial_is_refused_and_its_user_is_told_that_it_was_he(
    servers: list[int], carl: Person, eve: Person, activate: Activate, new_code: NewCode, edge: Edge
):
    code = new_code()
    rental = activate(carl, code)
    with pytest.raises(SerialUsed):
        activate(eve, code)
    edge(service.end, rental_id=rental.id, reason="test")
    with pytest.raises(SerialUsedByYou):
        activate(carl, code)


def test_expired_and_mistyped_serials_are_refused(
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    new_code: NewCode,
):
    code = new_code()
    with pytest.raises(SerialMistyped):
        activate(carl, code[:-1] + ("2" if code[-1] != "2" else "3"))
    clock.advance(days=30)
    with pytest.raises(SerialExpired):
        activate(carl, code)


def test_suspended_user_cannot_activate(
    edge: Edge, servers: list[int], carl: Person, activate: Activate
):
    edge(service.suspend_user, user_id=carl.id, reason="unpaid")
    with pytest.raises(Suspended):
        activate(carl)


def test_alert_of_too_few_servers_is_over_with_the_next_activation(
    edge: Edge, servers: list[int], carl: Person, activate: Activate
):
    edge(service.report_shortage, wanted=3, fit=2)
    activate(carl)
    assert rows(edge, select(SystemAlert.resolved)) == [True]


def test_end_releases_everything_but_the_account(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
):
    rental = activate(carl)
    edge(containers.admit, user_id=carl.id, node_key=KEY)
    clock.advance(days=2)
    ended = edge(service.end_of_user, user_id=carl.id, reason="asked for it")
    assert (ended.status, ended.ended_at) == (RentalStatus.ENDED, clock.now)
    assert edge.read(service.open_rental, carl.id) is None
    assert set(rows(edge, select(Placement.wanted))) == {Wanted.RELEASED}
    assert rows(edge, select(AclVersion.status)) == [AclStatus.ENDED]
    assert edge.read(acl.current, user_id=carl.id) is None
    assert edge.read(users.get, carl.id).rental_expiry == clock.now
    assert len(rows(edge, select(Admission))) == 1
    assert len(rows(edge, select(LoginSession).where(LoginSession.ended_at.is_(None)))) == 1
    assert "rental.ended" in rows(edge, select(Delivery.event))
    with pytest.raises(IllegalTransition):
        edge(service.end, rental_id=rental.id, reason="again")
    with pytest.raises(NoOpenRental):
        edge(service.end_of_user, user_id=carl.id, reason="again")


def test_next_rental_gets_the_next_acl_version(
    edge: Edge, servers: list[int], clock: MovableClock, carl: Person, activate: Activate
):
    edge(service.end, rental_id=activate(carl).id, reason="test")
    clock.advance(days=7)
    activate(carl)
    assert rows(edge, select(AclVersion.number).order_by(AclVersion.id)) == [1, 2]


def test_expired_rental_is_ended_by_the_sweep_and_touched_once(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    eve: Person,
    activate: Activate,
):
    due = activate(carl)
    edge(
        lambda work: work.session.execute(
            update(Rental).values(expires_at=clock.now + timedelta(days=1))
        )
    )
    kept = activate(eve)
    assert edge.read(queries.expired, limit=10) == []
    clock.advance(days=1)
    assert edge.read(queries.expired, limit=10) == [due.id]
    for rental_id in (due.id, due.id, kept.id):
        edge(service.end_expired, rental_id=rental_id)
    assert edge.read(service.get, due.id).end_reason == "expired"
    assert edge.read(service.get, kept.id).status is RentalStatus.ACTIVE
    assert edge.read(queries.expired, limit=10) == []


def test_serial_after_expiry_need_not_wait_for_the_sweep(
    edge: Edge, servers: list[int], clock: MovableClock, carl: Person, activate: Activate
):
    activate(carl)
    clock.advance(days=30)
    again = activate(carl)
    assert again.expires_at == clock.now + timedelta(days=30)
    assert len(edge.read(containers.placements_of, user_id=carl.id)) == 3


def test_suspension_stops_service_and_sessions_and_loses_nothing(
    edge: Edge, servers: list[int], carl: Person, activate: Activate
):
    rental = activate(carl)
    edge(containers.admit, user_id=carl.id, node_key=KEY)
    before = [(one.port, one.pin) for one in edge.read(containers.placements_of, user_id=carl.id)]
    edge(service.suspend_user, user_id=carl.id, reason="abuse")
    stopped = edge.read(containers.placements_of, user_id=carl.id)
    assert {one.wanted for one in stopped} == {Wanted.STOPPED}
    assert rows(edge, select(LoginSession).where(LoginSession.ended_at.is_(None))) == []
    suspended = edge.read(service.open_rental, carl.id)
    assert suspended is not None
    assert suspended.status is RentalStatus.SUSPENDED
    edge(service.reinstate_user, user_id=carl.id)
    running = edge.read(containers.placements_of, user_id=carl.id)
    assert {one.wanted for one in running} == {Wanted.RUNNING}
    assert [(one.port, one.pin) for one in running] == before
    assert edge.read(service.get, rental.id).status is RentalStatus.ACTIVE
    assert len(rows(edge, select(Admission))) == 1
    assert {"user.suspended", "user.reinstated"} <= set(rows(edge, select(Delivery.event)))


def test_suspended_rental_can_be_ended(
    edge: Edge, servers: list[int], carl: Person, activate: Activate
):
    activate(carl)
    edge(service.suspend_user, user_id=carl.id, reason="abuse")
    edge(service.end_of_user, user_id=carl.id, reason="abuse")
    edge(service.reinstate_user, user_id=carl.id)
    assert edge.read(service.open_rental, carl.id) is None


def test_nobody_suspends_himself(edge_of: Callable[..., Edge], root: Person):
    with pytest.raises(NotYourself):
        edge_of(root.actor)(service.suspend_user, user_id=root.id, reason="oops")


def test_filled_slot_makes_the_next_acl_and_keeps_the_others(
    edge: Edge,
    servers: list[int],
    add_server: Callable[..., int],
    carl: Person,
    activate: Activate,
):
    rental = activate(carl)
    fourth = add_server()
    with pytest.raises(NoEmptySlot):
        edge(service.fill_slot, user_id=carl.id, server_id=fourth)
    kept = edge.read(containers.placements_of, rental_id=rental.id)
    lost = kept.pop(1)
    edge(
        lambda work: work.session.execute(
            update(Placement).where(Placement.id == lost.id).values(wanted=Wanted.RELEASED)
        )
    )
    with pytest.raises(SlotTaken):
        edge(service.fill_slot, user_id=carl.id, server_id=fourth, slot=1)
    filled = edge(service.fill_slot, user_id=carl.id, server_id=fourth)
    assert (filled.slot, filled.server_id) == (2, fourth)
    version = edge.read(acl.current, user_id=carl.id)
    assert version is not None
    assert version.number == 2
    assert all(one.pin in version.document for one in [*kept, filled])
    assert lost.pin not in version.document
    with pytest.raises(NoEmptySlot):
        edge(service.fill_slot, user_id=carl.id, server_id=fourth)


def test_slot_is_filled_for_an_active_rental_only(
    edge: Edge, servers: list[int], carl: Person, activate: Activate
):
    with pytest.raises(NoOpenRental):
        edge(service.fill_slot, user_id=carl.id, server_id=servers[0])
    activate(carl)
    edge(lambda work: work.session.execute(update(Rental).values(status=RentalStatus.SUSPENDED)))
    with pytest.raises(RentalSuspended):
        edge(service.fill_slot, user_id=carl.id, server_id=servers[0])


def together(calls: list[Callable[[], object]]) -> list[object]:
    """Run calls at the same moment; return what each returned or refused."""
    results: list[object] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def one(number: int) -> None:
        start.wait()
        try:
            results[number] = calls[number]()
        except DomainError as error:
            results[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_of_many_who_enter_one_serial_exactly_one_wins(
    edge: Edge,
    servers: list[int],
    person: Callable[..., Person],
    activate: Activate,
    new_code: NewCode,
):
    code = new_code()
    people = [person(f"user{number}") for number in range(12)]
    results = together([lambda who=who: activate(who, code) for who in people])
    winners = [result for result in results if isinstance(result, Rental)]
    assert len(winners) == 1
    assert sum(isinstance(result, SerialUsed) for result in results) == 11
    assert rows(edge, select(Serial.user_id)) == [winners[0].user_id]
    assert len(rows(edge, select(Placement))) == 3


def test_of_two_serials_entered_by_one_user_at_once_one_is_kept(
    edge: Edge, servers: list[int], carl: Person, activate: Activate, new_code: NewCode
):
    codes = [new_code() for _ in range(6)]
    results = together([lambda code=code: activate(carl, code) for code in codes])
    assert sum(isinstance(result, Rental) for result in results) == 1
    assert sum(isinstance(result, AlreadyActive) for result in results) == 5
    assert sorted(rows(edge, select(Serial.status))) == ["unused"] * 5 + ["used"]


def test_suspension_and_activation_at_once_leave_no_running_relay_of_a_suspended_user(
    edge: Edge, servers: list[int], carl: Person, activate: Activate
):
    results = together(
        [
            lambda: activate(carl),
            lambda: edge(service.suspend_user, user_id=carl.id, reason="abuse"),
        ]
    )
    assert results[1] is None
    placements = edge.read(containers.placements_of, user_id=carl.id)
    assert all(one.wanted is Wanted.STOPPED for one in placements)
    assert isinstance(results[0], Rental) == (len(placements) == 3)


def test_revoked_between_look_and_spending_is_not_spent(
    edge: Edge, carl: Person, new_code: NewCode
):
    code = new_code()
    [serial] = rows(edge, select(Serial))

    def verb(work):
        found = serials.look_up(work, code=code, user_id=carl.id)
        work.session.execute(
            update(Serial)
            .where(Serial.id == serial.id)
            .values(status=SerialStatus.REVOKED)
            .execution_options(synchronize_session=False)
        )
        serials.spend(work, serial=found, user_id=carl.id)

    with pytest.raises(DomainError) as caught:
        edge(verb)
    assert caught.value.code == "serial.revoked"
