"""Verbs that renew: extend what runs, or bring back who was here."""

from __future__ import annotations

from datetime import datetime, timedelta

from derpman.acl.derpmap import DEFAULT_REGION_IDS
from derpman.containers import service as containers
from derpman.finance import orders
from derpman.finance import service as finance
from derpman.finance.models import Plan
from derpman.kit.secrets import new_token
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.rentals import notices, opening, service, terms
from derpman.rentals.errors import RentalSuspended, UntilTooEarly, UntilTooFar
from derpman.rentals.events import RentalRenewed
from derpman.rentals.models import Rental
from derpman.rentals.states import RentalStatus
from derpman.rentals.terms import Cause
from derpman.serials import service as serials
from derpman.users import service as users
from derpman.users.models import User

__all__ = ["Cause", "renew", "renew_by_serial", "renew_to"]

LONGEST = timedelta(days=3660)
"""No rental reaches further ahead than this."""


def renew(
    work: UnitOfWork,
    *,
    user_id: int,
    plan_id: int,
    days: int | None = None,
    until: datetime | None = None,
    cause: Cause,
    region_base: int = DEFAULT_REGION_IDS[0],
) -> Rental:
    """Give a customer a plan for its own length, for `days`, or until an instant.

    A rental that runs is extended from its end: what the plan promises more holds at once, what it
    promises less from that end on. Who has none gets one from now on; within seven days of his last
    one with the same relays. An order that bought already buys nothing more.
    Raises Suspended, Deregistered, NotRenewable, RentalSuspended, UntilTooEarly, UntilTooFar, and
    NotEnoughServers, which leaves everything as it was.
    """
    user = users.lock(work, user_id)
    if cause.order_id is not None and (bought := terms.of_order(work, cause.order_id)) is not None:
        return service.get(work, bought.rental_id)
    plan = finance.plan(work, plan_id)
    length = timedelta(days=plan.duration_days if days is None else days)
    rental = _running(work, user)
    if rental is None:
        end = until or work.now + length
        _refuse_end(work, end, later_than=work.now)
        return opening.begin(
            work, user=user, plan=plan, until=end, cause=cause, region_base=region_base
        )
    end = until or rental.expires_at + length
    _refuse_end(work, end, later_than=rental.expires_at)
    return _extend(work, rental, user, plan, cause, end)


def renew_by_serial(
    work: UnitOfWork, *, user_id: int, code: str, region_base: int = DEFAULT_REGION_IDS[0]
) -> Rental:
    """Spend a serial on a renewal: once, by one, all of it or nothing."""
    user = users.lock(work, user_id)  # before the serial, like everywhere
    _running(work, user)
    serial = serials.redeem(work, code=code, user_id=user_id)
    return renew(
        work,
        user_id=user_id,
        plan_id=serial.plan_id,
        days=serial.duration_days,
        cause=Cause(serial_id=serial.id),
        region_base=region_base,
    )


def renew_to(
    work: UnitOfWork, *, user_id: int, until: datetime, reason: str, plan_id: int | None = None
) -> Rental:
    """Renew a customer to a date, as an admin wishes: with the plan he has or had, or another.

    An order of price zero records it.
    """
    users.lock(work, user_id)
    if plan_id is None:
        last = opening.last_rental(work, user_id)
        plan_id = finance.plan_of_days(work, 30).id if last is None else last.plan_id
    order = orders.record_gift(
        work,
        user_id=user_id,
        plan_id=plan_id,
        days=0,
        reason=reason,
        request_key=f"to-{until:%Y%m%d}-{new_token()[:16]}",
    )
    rental = renew(
        work,
        user_id=user_id,
        plan_id=plan_id,
        until=until,
        cause=Cause(order_id=order.id, reason=reason),
    )
    order.rental_id = rental.id
    return rental


def _running(work: UnitOfWork, user: User) -> Rental | None:
    """Return what can be extended; one whose time is over is ended here and now."""
    users.refuse_unrenewable(user)
    rental = service.open_rental(work, user.id)
    if rental is None:
        return None
    if rental.status is RentalStatus.SUSPENDED:
        raise RentalSuspended
    if rental.expires_at <= work.now:
        service.end(work, rental_id=rental.id, reason=service.EXPIRED)
        return None
    return rental


def _refuse_end(work: UnitOfWork, end: datetime, *, later_than: datetime) -> None:
    if end <= later_than:
        raise UntilTooEarly(expires_at=later_than.isoformat())
    if end > work.now + LONGEST:
        raise UntilTooFar(latest=(work.now + LONGEST).isoformat())


def _extend(
    work: UnitOfWork, rental: Rental, user: User, plan: Plan, cause: Cause, end: datetime
) -> Rental:
    before = rental.expires_at
    term = terms.add(work, rental, plan, cause, until=end)
    rental.expires_at = end
    rental.period += 1
    notices.begin_period(work, rental)
    terms.settle(work, rental)
    users.set_rental_expiry(work, user, end)
    facts = {
        "plan": plan.name,
        "serial_id": cause.serial_id,
        "order_id": cause.order_id,
        "reason": cause.reason,
        "expires_at": end,
    }
    facts = {name: value for name, value in facts.items() if value is not None}
    logs.record(
        work,
        action="rental.renew",
        object_type="rental",
        object_id=rental.id,
        before={"expires_at": before},
        after=facts,
    )
    logs.record_history(
        work,
        user_id=user.id,
        kind="rental.renewed",
        rental_id=rental.id,
        detail={**facts, "before": before},
    )
    logs.record_user(work, user_id=user.id, action="rental.renew", detail={"rental": rental.id})
    work.emit(RentalRenewed(rental_id=rental.id, user_id=user.id, term_id=term.id))
    work.session.flush()  # what needs no server was written before they are locked
    containers.extend(
        work,
        rental_id=rental.id,
        expires_at=end,
        rate_bytes_per_second=rental.rate_bytes_per_second,
    )
    return rental
