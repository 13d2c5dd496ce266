from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from derpman.acl import service as acl
from derpman.acl.models import AclVersion
from derpman.containers import service as containers
from derpman.containers.models import Placement, PortClaim
from derpman.containers.states import Wanted
from derpman.finance import service as finance
from derpman.finance.models import OverQuota, Plan
from derpman.kit.errors import DomainError
from derpman.kit.outbox import Delivery
from derpman.kit.work import Edge, UnitOfWork
from derpman.logs.models import UserHistory
from derpman.rentals import renewals, service, terms
from derpman.rentals.errors import RentalSuspended, UntilTooEarly, UntilTooFar
from derpman.rentals.models import Rental, RentalTerm
from derpman.rentals.renewals import Cause
from derpman.serials.errors import SerialUsed
from derpman.serials.models import Serial
from derpman.servers.models import Server
from derpman.users import service as users
from derpman.users.errors import NotRenewable, Suspended
from derpman.users.models import User
from tests.conftest import MovableClock, Person
from tests.rentals.conftest import Activate, NewCode

AddPlan = Callable[..., Plan]
GB = 1_000_000_000


def rows(edge: Edge, statement: Any) -> list:
    return edge.read(lambda work: list(work.session.scalars(statement)))


@pytest.fixture
def plan_of(edge: Edge) -> AddPlan:
    """Put a plan on sale: of 30 days, unless said otherwise."""

    def make(name: str, **more: Any) -> Plan:
        plain: dict[str, Any] = {
            "duration_days": 30,
            "price_fen": 100,
            "traffic_bytes": 100 * GB,
            "rate_bytes_per_second": 1_000_000,
            "device_limit": 5,
            "over_quota": OverQuota.STOP,
            "throttle_bytes_per_second": 0,
        }
        return edge(finance.add_plan, name=name, **(plain | more))

    return make


def placed(edge: Edge, rental: Rental) -> list[Placement]:
    return edge.read(containers.placements_of, rental_id=rental.id)


def places(edge: Edge, rental: Rental) -> list[tuple[int, int, int, str]]:
    return [(one.slot, one.server_id, one.port, one.pin) for one in placed(edge, rental)]


def prove_gone(edge: Edge, clock: MovableClock) -> None:
    """As if every node had said that it has what was released no more."""

    def prove(work: UnitOfWork) -> None:
        gone = work.session.scalars(
            select(Placement.id).where(
                Placement.wanted == Wanted.RELEASED, Placement.gone_at.is_(None)
            )
        ).all()
        work.session.execute(
            update(Placement).where(Placement.id.in_(gone)).values(gone_at=work.now)
        )
        work.session.execute(
            update(PortClaim)
            .where(PortClaim.placement_id.in_(gone), PortClaim.free_at.is_(None))
            .values(free_at=work.now + timedelta(days=7))
        )

    edge(prove)


def test_serial_extends_what_runs_from_its_end(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    new_code: NewCode,
):
    rental = activate(carl)
    before = places(edge, rental)
    clock.advance(days=20)
    renewed = edge(renewals.renew_by_serial, user_id=carl.id, code=new_code())
    assert renewed.id == rental.id
    assert renewed.expires_at == rental.started_at + timedelta(days=60)
    assert places(edge, rental) == before
    assert {one.expires_at for one in placed(edge, rental)} == {renewed.expires_at}
    assert edge.read(users.get, carl.id).rental_expiry == renewed.expires_at
    assert rows(edge, select(Serial.status)) == ["used", "used"]
    assert "rental.renewed" in rows(edge, select(Delivery.event))
    assert rows(edge, select(UserHistory.kind).order_by(UserHistory.id))[-1] == "rental.renewed"
    assert rows(edge, select(AclVersion.number)) == [1]


def test_renewal_needs_few_statements(
    statements: list[str],
    edge: Edge,
    servers: list[int],
    carl: Person,
    activate: Activate,
    new_code: NewCode,
):
    activate(carl)
    code = new_code()
    statements.clear()
    edge(renewals.renew_by_serial, user_id=carl.id, code=code)
    assert len(statements) <= 35, "\n".join(statements)


def test_who_comes_back_within_a_week_gets_the_same_relays_and_his_acl_goes_on(
    edge: Edge,
    servers: list[int],
    add_server: Callable[..., int],
    clock: MovableClock,
    carl: Person,
    eve: Person,
    activate: Activate,
    new_code: NewCode,
):
    for _ in range(3):
        add_server()  # emptier ones, where he would go otherwise
    rental = activate(carl, new_code(5))
    before = places(edge, rental)
    [version] = rows(edge, select(AclVersion))
    clock.advance(days=5, seconds=20)
    edge(service.end_expired, rental_id=rental.id)
    prove_gone(edge, clock)
    clock.advance(days=6, hours=23)
    again = edge(renewals.renew_by_serial, user_id=carl.id, code=new_code())
    assert again.id != rental.id
    assert again.resumes_id == rental.id
    assert places(edge, again) == before
    assert rows(edge, select(PortClaim.free_at)) == [None] * 3
    assert {one.placement_id for one in rows(edge, select(PortClaim))} == {
        one.id for one in placed(edge, again)
    }
    goes_on = edge.read(acl.offered, user_id=carl.id)
    assert (goes_on.id, goes_on.number, goes_on.rental_id) == (version.id, 1, again.id)
    assert (goes_on.document, goes_on.expires_at) == (version.document, version.expires_at)
    assert again.expires_at == clock.now + timedelta(days=30)
    assert sum(rows(edge, select(Server.relay_count))) == 3


def test_resumed_relays_keep_their_secrets(
    edge: Edge,
    servers: list[int],
    carl: Person,
    activate: Activate,
    new_code: NewCode,
):
    def secrets_of(rental: Rental) -> list[tuple[str, str, str]]:
        def read(work: UnitOfWork) -> list[tuple[str, str, str]]:
            return [
                (one.certificate, work.vault.open(one.private_key), work.vault.open(one.mesh_key))
                for one in containers.placements_of(work, rental_id=rental.id)
            ]

        return edge.read(read)

    rental = activate(carl)
    before = secrets_of(rental)
    edge(service.end, rental_id=rental.id, reason="test")
    again = edge(renewals.renew_by_serial, user_id=carl.id, code=new_code())
    assert secrets_of(again) == before


def test_after_a_week_all_is_new_but_the_region_ids(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    new_code: NewCode,
):
    rental = activate(carl, new_code(3))
    edge(lambda work: work.session.execute(update(Rental).values(region_base=941)))
    before = places(edge, rental)
    clock.advance(days=3)
    edge(service.end_expired, rental_id=rental.id)
    prove_gone(edge, clock)
    clock.advance(days=7)
    again = edge(renewals.renew_by_serial, user_id=carl.id, code=new_code())
    assert again.resumes_id is None
    assert again.region_base == 941
    assert not set(places(edge, again)) & set(before)
    assert edge.read(acl.offered, user_id=carl.id).number == 2


def test_relay_whose_server_takes_nobody_comes_back_elsewhere_with_the_next_version(
    edge: Edge,
    servers: list[int],
    add_server: Callable[..., int],
    carl: Person,
    activate: Activate,
    new_code: NewCode,
):
    spare = add_server(status="unhealthy")
    rental = activate(carl)
    before = places(edge, rental)
    edge(service.end, rental_id=rental.id, reason="test")
    edge(
        lambda work: work.session.execute(
            update(Server).where(Server.id == before[1][1]).values(status="unhealthy")
        )
    )
    edge(
        lambda work: work.session.execute(
            update(Server).where(Server.id == spare).values(status="healthy")
        )
    )
    again = edge(renewals.renew_by_serial, user_id=carl.id, code=new_code())
    now = places(edge, again)
    assert [now[0], now[2]] == [before[0], before[2]]
    assert now[1][1] == spare
    assert edge.read(acl.offered, user_id=carl.id).number == 2
    assert "acl.replaced" in rows(edge, select(Delivery.event))


def test_over_version_is_followed_by_the_next_at_once(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    new_code: NewCode,
):
    rental = activate(carl)
    clock.advance(days=30)
    edge(service.end_expired, rental_id=rental.id)
    before = {one[1:3] for one in places(edge, rental)}
    clock.advance(days=3)  # the version is 33 days old
    again = edge(renewals.renew_by_serial, user_id=carl.id, code=new_code())
    assert edge.read(acl.offered, user_id=carl.id).number == 2
    assert not before & {one[1:3] for one in places(edge, again)}


def test_renewal_of_what_is_over_and_was_not_swept_goes_on_from_now(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    new_code: NewCode,
):
    rental = activate(carl, new_code(3))
    before = places(edge, rental)
    clock.advance(days=3, seconds=5)
    again = edge(renewals.renew_by_serial, user_id=carl.id, code=new_code(5))
    assert again.expires_at == clock.now + timedelta(days=5)
    assert places(edge, again) == before


def test_too_few_servers_spend_nothing_and_leave_the_end_as_it_was(
    edge: Edge,
    servers: list[int],
    carl: Person,
    activate: Activate,
    new_code: NewCode,
):
    edge(service.end, rental_id=activate(carl).id, reason="test")
    edge(lambda work: work.session.execute(update(Server).values(status="unhealthy")))
    code = new_code()
    with pytest.raises(containers.NotEnoughServers):
        edge(renewals.renew_by_serial, user_id=carl.id, code=code)
    assert rows(edge, select(Serial.status).where(Serial.code == code)) == ["unused"]
    assert edge.read(service.open_rental, carl.id) is None


def test_more_holds_at_once_and_less_from_the_old_end(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    plan_of: AddPlan,
    new_code: NewCode,
):
    first = plan_of("first")
    other = plan_of("other", traffic_bytes=50 * GB, rate_bytes_per_second=2_000_000, device_limit=3)
    rental = activate(carl, new_code(None, plan_id=first.id))
    old_end = rental.expires_at
    clock.advance(days=1)
    now = edge(renewals.renew, user_id=carl.id, plan_id=other.id, cause=Cause(order_id=7))
    assert (now.traffic_bytes, now.rate_bytes_per_second, now.device_limit) == (
        100 * GB,
        2_000_000,
        5,
    )
    assert {one.rate_bytes_per_second for one in placed(edge, rental)} == {2_000_000}
    assert (now.terms_until, now.plan_id) == (old_end, first.id)
    edge(terms.change_due, rental_id=rental.id)
    assert edge.read(service.get, rental.id).device_limit == 5
    clock.now = old_end
    edge(terms.change_due, rental_id=rental.id)
    then = edge.read(service.get, rental.id)
    assert (then.traffic_bytes, then.rate_bytes_per_second, then.device_limit) == (
        50 * GB,
        2_000_000,
        3,
    )
    assert (then.plan_id, then.terms_until) == (other.id, None)
    assert rows(edge, select(Delivery.event)).count("rental.terms_changed") > 0
    edge(lambda work: work.session.execute(update(Delivery).values(event="old")))
    edge(terms.change_due, rental_id=rental.id)
    assert "rental.terms_changed" not in rows(edge, select(Delivery.event))


def test_scheduled_change_survives_further_renewals(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    plan_of: AddPlan,
    new_code: NewCode,
):
    big, small = plan_of("big", device_limit=9), plan_of("small", device_limit=2)
    rental = activate(carl, new_code(None, plan_id=big.id))
    old_end = rental.expires_at
    for order_id in (1, 2):
        now = edge(
            renewals.renew, user_id=carl.id, plan_id=small.id, cause=Cause(order_id=order_id)
        )
    assert (now.device_limit, now.terms_until) == (9, old_end)
    clock.now = old_end
    edge(terms.change_due, rental_id=rental.id)
    assert edge.read(service.get, rental.id).device_limit == 2
    assert edge.read(service.get, rental.id).expires_at == old_end + timedelta(days=60)


def test_no_limit_on_speed_is_more_than_any(
    edge: Edge,
    servers: list[int],
    carl: Person,
    activate: Activate,
    plan_of: AddPlan,
    new_code: NewCode,
):
    free, slow = plan_of("free", rate_bytes_per_second=0), plan_of("slow")
    activate(carl, new_code(None, plan_id=slow.id))
    renewed = edge(renewals.renew, user_id=carl.id, plan_id=free.id, cause=Cause(order_id=1))
    assert renewed.rate_bytes_per_second == 0
    again = edge(renewals.renew, user_id=carl.id, plan_id=slow.id, cause=Cause(order_id=2))
    assert again.rate_bytes_per_second == 0


def test_same_order_renews_once(edge: Edge, servers: list[int], carl: Person, activate: Activate):
    rental = activate(carl)
    for _ in range(2):
        done = edge(renewals.renew, user_id=carl.id, plan_id=3, cause=Cause(order_id=77))
        assert done.expires_at == rental.expires_at + timedelta(days=30)
    assert len(rows(edge, select(RentalTerm).where(RentalTerm.order_id == 77))) == 1


def test_order_of_who_never_had_a_rental_opens_one(edge: Edge, servers: list[int], carl: Person):
    rental = edge(renewals.renew, user_id=carl.id, plan_id=3, cause=Cause(order_id=5))
    assert rental.expires_at - rental.started_at == timedelta(days=30)
    assert len(placed(edge, rental)) == 3


def test_admin_renews_to_a_date_with_a_reason(
    edge: Edge, servers: list[int], clock: MovableClock, carl: Person, activate: Activate
):
    rental = activate(carl)
    until = rental.expires_at + timedelta(days=12, hours=3)
    renewed = edge(renewals.renew_to, user_id=carl.id, until=until, reason="outage")
    assert (renewed.expires_at, renewed.plan_id) == (until, rental.plan_id)
    [term] = rows(edge, select(RentalTerm).where(RentalTerm.number == 2))
    assert (term.reason, term.starts_at, term.ends_at) == ("outage", rental.expires_at, until)
    with pytest.raises(UntilTooEarly):
        edge(renewals.renew_to, user_id=carl.id, until=until, reason="again")
    with pytest.raises(UntilTooFar):
        edge(
            renewals.renew_to,
            user_id=carl.id,
            until=clock.now + timedelta(days=4000),
            reason="too much",
        )


def test_who_is_suspended_or_marked_cannot_be_renewed(
    edge: Edge,
    servers: list[int],
    carl: Person,
    eve: Person,
    activate: Activate,
    new_code: NewCode,
):
    activate(carl)
    code = new_code()
    edge(service.suspend_user, user_id=carl.id, reason="unpaid")
    with pytest.raises(Suspended):
        edge(renewals.renew_by_serial, user_id=carl.id, code=code)
    edge(service.reinstate_user, user_id=carl.id)
    edge(
        lambda work: work.session.execute(
            update(User).values(no_renewal_at=work.now, no_renewal_reason="abuse")
        )
    )
    for refused in (carl, eve):
        with pytest.raises(NotRenewable):
            edge(renewals.renew_by_serial, user_id=refused.id, code=code)
        with pytest.raises(NotRenewable):
            edge(service.activate, user_id=refused.id, code=code)
    assert rows(edge, select(Serial.status).where(Serial.code == code)) == ["unused"]


def test_one_serial_for_two_renewals_at_once_renews_one(
    edge: Edge,
    servers: list[int],
    carl: Person,
    eve: Person,
    activate: Activate,
    new_code: NewCode,
):
    ends = {person.id: activate(person).expires_at for person in (carl, eve)}
    code = new_code()
    barrier = threading.Barrier(4)
    results: list[str] = []

    def enter(user_id: int) -> None:
        barrier.wait()
        try:
            edge(renewals.renew_by_serial, user_id=user_id, code=code)
        except DomainError as error:
            results.append(error.code)
        else:
            results.append("ok")

    threads = [
        threading.Thread(target=enter, args=(person.id,)) for person in (carl, eve, carl, eve)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count("ok") == 1
    assert set(results) <= {"ok", SerialUsed.code, "serial.used_by_you"}
    grown: list[timedelta] = []
    for user_id, end in ends.items():
        rental = edge.read(service.open_rental, user_id)
        assert rental is not None
        grown.append(rental.expires_at - end)
    assert sorted(grown) == [timedelta(0), timedelta(days=30)]


def test_renewal_and_sweep_at_the_last_moment_lose_nothing(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    new_code: NewCode,
):
    rental = activate(carl, new_code(3))
    before = places(edge, rental)
    clock.advance(days=3)
    code = new_code()
    barrier = threading.Barrier(2)

    def renew() -> None:
        barrier.wait()
        edge(renewals.renew_by_serial, user_id=carl.id, code=code)

    def sweep() -> None:
        barrier.wait()
        edge(service.end_expired, rental_id=rental.id)

    threads = [threading.Thread(target=one) for one in (renew, sweep)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running = edge.read(service.open_rental, carl.id)
    assert running is not None
    assert running.expires_at == clock.now + timedelta(days=30)
    assert places(edge, running) == before


def test_suspended_rental_is_not_extended(
    edge: Edge, servers: list[int], carl: Person, activate: Activate
):
    activate(carl)
    edge(lambda work: work.session.execute(update(Rental).values(status="suspended")))
    with pytest.raises(RentalSuspended):
        edge(renewals.renew, user_id=carl.id, plan_id=3, cause=Cause(order_id=1))
