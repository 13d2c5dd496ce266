"""Opening a rental: the first one of a customer, or one that brings him back to what he had."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from derpman.acl import service as acl
from derpman.alerts import service as alerts
from derpman.containers import resuming
from derpman.containers import service as containers
from derpman.finance.models import Plan
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.rentals import notices, terms
from derpman.rentals.events import RentalActivated
from derpman.rentals.models import Rental
from derpman.rentals.states import RentalStatus
from derpman.rentals.terms import Cause
from derpman.users import service as users
from derpman.users.models import User

SHORT_OF_SERVERS = "not_enough_servers"
RESUMED_WITHIN = timedelta(days=7)
"""For so long after a rental's end its ports rest, and are its customer's if he comes back."""


def begin(
    work: UnitOfWork,
    *,
    user: User,
    plan: Plan,
    until: datetime,
    cause: Cause,
    region_base: int,
) -> Rental:
    """Open a rental with three relays and an ACL, all of it or nothing; the user is locked.

    Who comes back within seven days of the end gets his relays again, and the ACL he has goes on
    while its own time lasts. Later, or when it is over, all is new but the region ids.
    """
    last = last_rental(work, user.id)
    version = acl.last(work, user_id=user.id)
    is_back = (
        last is not None
        and last.ended_at is not None
        and last.ended_at > work.now - RESUMED_WITHIN
        and version is not None
        and version.rental_id == last.id
        and version.expires_at > work.now
    )
    rental = Rental(
        user_id=user.id,
        open_user_id=user.id,
        resumes_id=last.id if last is not None and is_back else None,
        plan_id=plan.id,
        serial_id=cause.serial_id,
        status=RentalStatus.ACTIVE,
        started_at=work.now,
        expires_at=until,
        region_base=region_base if last is None else last.region_base,
        traffic_bytes=plan.traffic_bytes,
        rate_bytes_per_second=plan.rate_bytes_per_second,
        device_limit=plan.device_limit,
        over_quota=plan.over_quota,
        throttle_bytes_per_second=plan.throttle_bytes_per_second,
        period_from=work.now,
    )
    notices.begin_period(work, rental)
    if last is not None:
        last.next_notice_at = None  # his account is not closed
    work.session.add(rental)
    work.session.flush()
    terms.add(work, rental, plan, cause, until=until)
    users.set_rental_expiry(work, user, until)
    alerts.resolve_alert(work, alert_type=SHORT_OF_SERVERS)
    _record(work, rental, plan, cause)
    work.emit(RentalActivated(rental_id=rental.id, user_id=user.id))
    # From here on servers are locked, and others wait: what needs no server was written before.
    work.session.flush()
    if is_back and last is not None:
        _resume(work, rental, last)
    else:
        _allocate(work, rental, last)
    return rental


def last_rental(work: UnitOfWork, user_id: int) -> Rental | None:
    """Return the rental that a user had last, or has."""
    return work.session.scalar(
        select(Rental).where(Rental.user_id == user_id).order_by(Rental.id.desc()).limit(1)
    )


def _record(work: UnitOfWork, rental: Rental, plan: Plan, cause: Cause) -> None:
    facts = {
        "plan": plan.name,
        "serial_id": cause.serial_id,
        "order_id": cause.order_id,
        "reason": cause.reason,
        "resumes": rental.resumes_id,
        "expires_at": rental.expires_at,
    }
    facts = {name: value for name, value in facts.items() if value is not None}
    logs.record(
        work, action="rental.activate", object_type="rental", object_id=rental.id, after=facts
    )
    logs.record_history(
        work, user_id=rental.user_id, kind="rental.activated", rental_id=rental.id, detail=facts
    )
    logs.record_user(
        work, user_id=rental.user_id, action="rental.activate", detail={"rental": rental.id}
    )


def _resume(work: UnitOfWork, rental: Rental, last: Rental) -> None:
    again = resuming.resume(work, terms_of(rental), rental_id=last.id)
    acl.resume(
        work,
        user_id=rental.user_id,
        rental_id=rental.id,
        placements=again.placements,
        reason="renewal",
    )


def _allocate(work: UnitOfWork, rental: Rental, last: Rental | None) -> None:
    placements = containers.allocate(
        work,
        user_id=rental.user_id,
        rental_id=rental.id,
        region_base=rental.region_base,
        expires_at=rental.expires_at,
        rate_bytes_per_second=rental.rate_bytes_per_second,
        prefer=[] if last is None else resuming.servers_of(work, rental_id=last.id),
    )
    acl.issue(
        work,
        user_id=rental.user_id,
        rental_id=rental.id,
        placements=placements,
        reason="activation" if last is None else "renewal",
    )


def terms_of(rental: Rental) -> containers.Terms:
    """Return what a rental says about each of its relays."""
    return containers.Terms(
        user_id=rental.user_id,
        rental_id=rental.id,
        region_base=rental.region_base,
        expires_at=rental.expires_at,
        rate_bytes_per_second=rental.rate_bytes_per_second,
    )
