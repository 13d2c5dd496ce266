"""Expiry, notices, the mark against renewal, and the end of accounts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

import pytest
from sqlalchemy import select, update

from derpman.access.models import LoginSession
from derpman.acl.models import AclVersion
from derpman.alerts.models import SystemAlert
from derpman.containers import service as containers
from derpman.containers.models import Admission, Placement, PortClaim, UserServer
from derpman.containers.states import Wanted
from derpman.finance import ledger, wallet
from derpman.finance.ledger import Holder, Move
from derpman.finance.models import AccountKind, EntryKind
from derpman.kit.outbox import Delivery
from derpman.kit.work import Edge, UnitOfWork
from derpman.logs.models import SystemLog, UserHistory
from derpman.rentals import closing, expiry, marking, queries, renewals, service
from derpman.rentals.errors import OpenMatters
from derpman.rentals.mails import send_notice
from derpman.rentals.models import Rental, RentalNotice
from derpman.rentals.states import NoticeKind, RentalStatus
from derpman.servers.models import Server
from derpman.users import closing as accounts
from derpman.users import service as users
from derpman.users.errors import Deregistered, NotRenewable, StaffStays, UsernameTaken
from derpman.users.models import User
from derpman.users.states import UserStatus
from derpman.wiring import System
from derpman.worker import celery_app
from tests.conftest import MovableClock, Person, QueuedMail
from tests.rentals.conftest import Activate, NewCode

KEY = "nodekey:" + "ab" * 32
Mails = Callable[[str], list[QueuedMail]]
Sweep = Callable[..., None]


def rows(edge: Edge, statement: Any) -> list:
    return edge.read(lambda work: list(work.session.scalars(statement)))


@pytest.fixture
def sweep(system: System) -> Sweep:
    """Run sweeps as the worker would: `sweep("send_notices")`."""
    app = celery_app(system)
    app.loader.import_default_modules()

    def run(*names: str) -> None:
        for name in names:
            app.tasks[f"rentals.{name}"]()

    return run


def prove_gone(edge: Edge) -> None:
    def prove(work: UnitOfWork) -> None:
        work.session.execute(
            update(Placement)
            .where(Placement.wanted == Wanted.RELEASED, Placement.gone_at.is_(None))
            .values(gone_at=work.now)
        )

    edge(prove)


# Expiry


def test_sweep_ends_many_as_it_ends_one(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    person: Callable[..., Person],
    activate: Activate,
    new_code: NewCode,
    sweep: Sweep,
):
    people = [person(name) for name in ("ann", "ben", "cyd")]
    due = [activate(one, new_code(3)) for one in people[:2]]
    later = activate(people[2], new_code(5))
    alone = activate(person("dan"), new_code(3))
    clock.advance(days=3)
    edge(service.end_expired, rental_id=alone.id)
    sweep("end_expired")
    ended = [edge.read(service.get, one.id) for one in (*due, alone)]
    same = ("status", "open_user_id", "ended_at", "end_reason", "terms_until", "next_notice_at")
    assert len({tuple(getattr(one, name) for name in same) for one in ended}) == 1
    assert ended[0].status is RentalStatus.ENDED
    assert edge.read(service.get, later.id).status is RentalStatus.ACTIVE
    assert {
        (one.rental_expiry, one.deregister_at)
        for one in rows(edge, select(User))
        if one.username != "cyd"
    } == {(clock.now, clock.now + timedelta(days=30))}
    assert rows(edge, select(RentalNotice.kind)) == [NoticeKind.EXPIRED] * 3
    assert rows(edge, select(Server.relay_count)) == [1, 1, 1]
    released = rows(edge, select(Placement).where(Placement.wanted == Wanted.RELEASED))
    assert {one.released_at for one in released} == {clock.now}
    assert len(released) == 9
    assert len(rows(edge, select(UserServer).where(UserServer.ended_at.is_(None)))) == 3
    assert rows(edge, select(AclVersion.status).order_by(AclVersion.id)).count("ended") == 3
    for table, column, value in (
        (SystemLog, SystemLog.action, "rental.end"),
        (UserHistory, UserHistory.kind, "rental.ended"),
        (UserHistory, UserHistory.kind, "acl.ended"),
    ):
        assert len(rows(edge, select(table).where(column == value))) == 3
    told = rows(edge, select(Delivery.handler).where(Delivery.event == "rental.ended"))
    assert len(told) == 9
    assert len(set(told)) == 3


def test_what_was_renewed_meanwhile_is_not_ended(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    new_code: NewCode,
):
    rental = activate(carl, new_code(3))
    edge(renewals.renew_by_serial, user_id=carl.id, code=new_code())
    clock.advance(days=3)
    assert edge(expiry.end_many, rental_ids=[rental.id]) == 0
    assert edge.read(service.open_rental, carl.id) is not None


def test_expiry_of_many_needs_few_statements(
    statements: list[str],
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    person: Callable[..., Person],
    activate: Activate,
    new_code: NewCode,
):
    due = [activate(person(f"user{number}"), new_code(3)).id for number in range(8)]
    clock.advance(days=3)
    statements.clear()
    assert edge(expiry.end_many, rental_ids=due) == 8
    assert len(statements) <= 19, "\n".join(statements)


# Notices


def tell(edge: Edge, clock: MovableClock, until: datetime, *, step: timedelta) -> None:
    """Let time pass, and the sweep with it, each notice twice."""
    while clock.now < until:
        clock.now = min(clock.now + step, until)
        for _ in range(2):
            for rental_id in edge.read(queries.notices_due, limit=100):
                edge(send_notice, rental_id=rental_id)


def test_customer_is_told_7_3_and_1_days_before_once_each(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    mails: Mails,
):
    rental = activate(carl)
    tell(edge, clock, rental.expires_at - timedelta(seconds=1), step=timedelta(hours=5))
    notices = rows(edge, select(RentalNotice).order_by(RentalNotice.id))
    assert [one.kind for one in notices] == [
        NoticeKind.EXPIRES_IN_7,
        NoticeKind.EXPIRES_IN_3,
        NoticeKind.EXPIRES_IN_1,
    ]
    assert [one.due_at for one in notices] == [
        rental.expires_at - timedelta(days=days) for days in (7, 3, 1)
    ]
    told = mails(carl.email)
    assert [one.template for one in told] == ["rental_expiring"] * 3
    assert "2026-03-31 16:00" in told[0].text


def test_what_was_due_before_the_rental_began_is_not_sent(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    new_code: NewCode,
):
    rental = activate(carl, new_code(5))
    tell(edge, clock, rental.expires_at - timedelta(seconds=1), step=timedelta(hours=5))
    assert rows(edge, select(RentalNotice.kind).order_by(RentalNotice.id)) == [
        NoticeKind.EXPIRES_IN_3,
        NoticeKind.EXPIRES_IN_1,
    ]


def test_renewal_starts_the_notices_anew(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    new_code: NewCode,
):
    rental = activate(carl)
    tell(edge, clock, rental.expires_at - timedelta(days=2), step=timedelta(hours=5))
    assert len(rows(edge, select(RentalNotice))) == 2
    renewed = edge(renewals.renew_by_serial, user_id=carl.id, code=new_code())
    tell(edge, clock, renewed.expires_at - timedelta(days=8), step=timedelta(days=1))
    assert len(rows(edge, select(RentalNotice))) == 2
    tell(edge, clock, renewed.expires_at - timedelta(seconds=1), step=timedelta(hours=5))
    assert len(rows(edge, select(RentalNotice))) == 5


def test_of_notices_that_come_too_late_only_the_last_is_sent(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    mails: Mails,
):
    rental = activate(carl)
    tell(edge, clock, rental.expires_at - timedelta(hours=30), step=timedelta(days=60))
    found = rows(edge, select(RentalNotice).order_by(RentalNotice.id))
    assert [(one.kind, one.is_sent) for one in found] == [
        (NoticeKind.EXPIRES_IN_7, False),
        (NoticeKind.EXPIRES_IN_3, True),
    ]
    assert len(mails(carl.email)) == 1


def test_suspended_customer_is_not_told_to_renew(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    mails: Mails,
):
    rental = activate(carl)
    edge(service.suspend_user, user_id=carl.id, reason="unpaid")
    tell(edge, clock, rental.expires_at - timedelta(days=2), step=timedelta(days=1))
    edge(service.reinstate_user, user_id=carl.id)
    tell(edge, clock, rental.expires_at - timedelta(seconds=1), step=timedelta(hours=5))
    sent = [one.kind for one in rows(edge, select(RentalNotice)) if one.is_sent]
    assert sent == [NoticeKind.EXPIRES_IN_1]
    assert [one.template for one in mails(carl.email)] == ["rental_expiring"]


def test_customer_is_told_at_expiry_and_before_his_account_is_closed(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    new_code: NewCode,
    mails: Mails,
    sweep: Sweep,
    follow: Callable[..., None],
):
    rental = activate(carl, new_code(3))
    clock.now = rental.expires_at + timedelta(seconds=20)
    sweep("end_expired")
    follow("rentals.tell_ended")
    end = rental.expires_at + timedelta(days=30)
    tell(edge, clock, end - timedelta(seconds=1), step=timedelta(hours=5))
    told = mails(carl.email)
    assert [one.template for one in told] == [
        "rental_ended",
        "account_closing",
        "account_closing",
    ]
    assert "2026-04-03 16:00" in told[1].text
    kinds = rows(edge, select(RentalNotice.kind).order_by(RentalNotice.id))
    assert kinds[-2:] == [NoticeKind.CLOSES_IN_7, NoticeKind.CLOSES_IN_1]


# The mark against renewal


def test_mark_at_once_ends_service_and_forbids_renewal_until_it_is_lifted(
    edge: Edge, servers: list[int], carl: Person, activate: Activate, new_code: NewCode
):
    rental = activate(carl)
    edge(marking.forbid_renewal, user_id=carl.id, reason="abuse", is_at_once=True)
    assert edge.read(service.get, rental.id).end_reason == "abuse"
    code = new_code()
    with pytest.raises(NotRenewable):
        edge(renewals.renew_by_serial, user_id=carl.id, code=code)
    edge(marking.allow_renewal, user_id=carl.id)
    edge(renewals.renew_by_serial, user_id=carl.id, code=code)


def test_mark_at_expiry_lets_it_run_out(
    edge: Edge, servers: list[int], carl: Person, activate: Activate
):
    activate(carl)
    edge(marking.forbid_renewal, user_id=carl.id, reason="abuse", is_at_once=False)
    assert edge.read(service.open_rental, carl.id) is not None
    with pytest.raises(NotRenewable):
        edge(renewals.renew, user_id=carl.id, plan_id=3, cause=renewals.Cause(order_id=1))


# The end of accounts


def test_running_rental_is_named_and_nothing_is_destroyed(
    edge: Edge, servers: list[int], carl: Person, activate: Activate
):
    activate(carl)
    edge(wallet.compensate, user_id=carl.id, fen=500, reason="gift", request_key="k1")
    with pytest.raises(OpenMatters) as refused:
        edge(closing.ask, user_id=carl.id, gives_up_rental=False)
    matters = cast("list[dict[str, object]]", refused.value.params["matters"])
    assert [one["code"] for one in matters] == ["rental_runs"]
    assert edge.read(users.get, carl.id).status is UserStatus.ACTIVE
    assert edge.read(service.open_rental, carl.id) is not None


def test_account_is_closed_when_every_server_has_proved_the_relay_gone(
    edge: Edge,
    servers: list[int],
    carl: Person,
    activate: Activate,
    sweep: Sweep,
    follow: Callable[..., None],
    mails: Mails,
):
    activate(carl)
    edge(containers.admit, user_id=carl.id, node_key=KEY)
    edge(closing.ask, user_id=carl.id, gives_up_rental=True)
    assert rows(edge, select(Admission)) == []
    assert set(rows(edge, select(AclVersion.document))) == {'{"Regions":{}}'}
    sweep("deregister")
    now = edge.read(closing.progress, user_id=carl.id)
    assert now.status is UserStatus.CLOSING
    assert [one.server_id for one in now.waiting_for] == servers
    assert len(rows(edge, select(LoginSession).where(LoginSession.ended_at.is_(None)))) == 1
    edge(
        lambda work: work.session.execute(
            update(Placement).where(Placement.server_id != servers[1]).values(gone_at=work.now)
        )
    )
    sweep("deregister")
    [left] = edge.read(closing.progress, user_id=carl.id).waiting_for
    assert left.server_id == servers[1]
    prove_gone(edge)
    sweep("deregister")
    user = edge.read(users.get, carl.id)
    assert (user.status, user.password) == (UserStatus.DEREGISTERED, "!")
    assert rows(edge, select(LoginSession).where(LoginSession.ended_at.is_(None))) == []
    assert set(rows(edge, select(Placement.private_key))) == {""}
    follow("rentals.tell_deregistered", "devices.forget")
    assert mails(carl.email)[-1].template == "account_closed"
    kinds = rows(edge, select(UserHistory.kind).order_by(UserHistory.id))
    assert kinds[0] == "rental.activated"
    assert kinds[-1] == "user.deregistered"


def test_address_is_free_after_the_end_and_the_username_is_not(
    edge: Edge,
    servers: list[int],
    carl: Person,
    sweep: Sweep,
    password_hash: str,
):
    edge(closing.ask, user_id=carl.id, gives_up_rental=False)
    sweep("deregister")
    assert edge.read(users.get, carl.id).status is UserStatus.DEREGISTERED
    assert edge.read(users.by_email, email=carl.email) is None
    create = partial(
        users.create, email=carl.email, password_hash=password_hash, role=carl.role, locale="en"
    )
    with pytest.raises(UsernameTaken):
        edge(create, username="carl")
    back = edge(create, username="carl2")
    assert back.id != carl.id
    with pytest.raises(Deregistered):
        edge(renewals.renew, user_id=carl.id, plan_id=3, cause=renewals.Cause(order_id=1))


def test_admin_takes_off_his_role_first(edge: Edge, root: Person):
    with pytest.raises(StaffStays):
        edge(closing.ask, user_id=root.id, gives_up_rental=False)


def test_account_is_closed_by_itself_on_day_31_and_money_stays_on_the_books(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    new_code: NewCode,
    sweep: Sweep,
):
    rental = activate(carl, new_code(3))
    paid = Move(Holder(AccountKind.MANUAL), ledger.cash(carl.id), 1234)
    edge(ledger.post, kind=EntryKind.TOP_UP, key="t1", moves=[paid], user_id=carl.id)
    clock.now = rental.expires_at
    sweep("end_expired")
    prove_gone(edge)
    clock.now = rental.expires_at + timedelta(days=30) - timedelta(seconds=1)
    sweep("deregister")
    assert edge.read(users.get, carl.id).status is UserStatus.ACTIVE
    clock.advance(seconds=1)
    sweep("deregister")
    assert edge.read(users.get, carl.id).status is UserStatus.DEREGISTERED
    assert edge.read(wallet.of, carl.id).cash_fen == 1234
    [alert] = rows(
        edge, select(SystemAlert).where(SystemAlert.alert_type == "owed_to_deregistered")
    )
    assert "12.34" in alert.message


def test_who_renews_in_the_30_days_keeps_his_account(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    new_code: NewCode,
    sweep: Sweep,
):
    rental = activate(carl, new_code(3))
    clock.now = rental.expires_at
    sweep("end_expired")
    clock.advance(days=20)
    edge(renewals.renew_by_serial, user_id=carl.id, code=new_code())
    clock.advance(days=11)
    sweep("deregister", "send_notices")
    user = edge.read(users.get, carl.id)
    assert (user.status, user.deregister_at) == (UserStatus.ACTIVE, None)
    assert NoticeKind.CLOSES_IN_7 not in rows(edge, select(RentalNotice.kind))


def test_suspended_account_is_kept_and_its_owner_is_warned_when_he_is_back(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    new_code: NewCode,
    sweep: Sweep,
    mails: Mails,
):
    rental = activate(carl, new_code(3))
    edge(service.suspend_user, user_id=carl.id, reason="unpaid")
    clock.now = rental.expires_at
    sweep("end_expired")
    prove_gone(edge)
    clock.advance(days=40)
    sweep("send_notices", "deregister")
    assert edge.read(users.get, carl.id).status is UserStatus.SUSPENDED
    edge(service.reinstate_user, user_id=carl.id)
    sweep("deregister")
    assert edge.read(users.get, carl.id).status is UserStatus.ACTIVE
    tell(edge, clock, clock.now + timedelta(days=6, hours=23), step=timedelta(hours=5))
    assert [one.template for one in mails(carl.email)] == ["account_closing"] * 2
    clock.advance(days=1)
    sweep("deregister")
    assert edge.read(users.get, carl.id).status is UserStatus.DEREGISTERED


def test_sweep_looks_at_nobody_who_is_not_due(
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    rita: Person,
    activate: Activate,
):
    activate(carl)
    clock.advance(days=20)
    assert edge.read(accounts.due, limit=10) == []
    assert edge.read(queries.notices_due, limit=10) == []
    assert edge.read(queries.changes_due, limit=10) == []
    assert edge.read(queries.expired, limit=10) == []
    assert rows(edge, select(Rental.next_notice_at))[0] > clock.now
    assert rows(edge, select(PortClaim.free_at)) == [None] * 3
