"""Verbs on rentals; each composes those of the modules below in one transaction."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from derpman.access import service as access
from derpman.acl import service as acl
from derpman.acl.derpmap import DEFAULT_REGION_IDS
from derpman.alerts import service as alerts
from derpman.alerts.models import Severity
from derpman.containers import service as containers
from derpman.containers.models import Placement
from derpman.finance import service as finance
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.rentals import notices, opening
from derpman.rentals.errors import (
    AlreadyActive,
    NoEmptySlot,
    NoOpenRental,
    RentalNotFound,
    RentalSuspended,
    SlotTaken,
)
from derpman.rentals.events import (
    RentalEnded,
    UserReinstated,
    UserSuspended,
)
from derpman.rentals.models import Rental
from derpman.rentals.opening import SHORT_OF_SERVERS
from derpman.rentals.states import TRANSITIONS, NoticeKind, RentalStatus
from derpman.rentals.terms import Cause
from derpman.serials import service as serials
from derpman.users import closing as accounts
from derpman.users import service as users

EXPIRED = "expired"
GRACE = timedelta(days=30)
"""For so long after its last rental an account stays; then it is deregistered by itself."""


def activate(
    work: UnitOfWork, *, code: str, user_id: int, region_base: int = DEFAULT_REGION_IDS[0]
) -> Rental:
    """Spend a serial on a rental with three relays and an ACL, all of it or nothing."""
    user = users.lock(work, user_id)  # of two activations of one user the second sees the first
    users.refuse_unrenewable(user)
    running = open_rental(work, user_id)
    if running is not None and running.expires_at <= work.now:
        end(work, rental_id=running.id, reason=EXPIRED)
        running = None
    if running is not None:
        raise AlreadyActive(expires_at=running.expires_at.isoformat())
    serial = serials.redeem(work, code=code, user_id=user_id)
    return opening.begin(
        work,
        user=user,
        plan=finance.plan(work, serial.plan_id),
        until=work.now + timedelta(days=serial.duration_days),
        cause=Cause(serial_id=serial.id),
        region_base=region_base,
    )


def report_shortage(work: UnitOfWork, *, wanted: int, fit: int) -> None:
    """Alert the admins that a customer could not be served for want of servers."""
    alerts.raise_alert(
        work,
        alert_type=SHORT_OF_SERVERS,
        severity=Severity.CRITICAL,
        params={"wanted": wanted, "fit": fit},
    )


def get(work: UnitOfWork, rental_id: int) -> Rental:
    """Return one rental."""
    rental = work.session.get(Rental, rental_id)
    if rental is None:
        raise RentalNotFound
    return rental


def open_rental(work: UnitOfWork, user_id: int) -> Rental | None:
    """Return the user's rental that is not ended, if he has one: active or suspended."""
    return work.session.scalar(select(Rental).where(Rental.open_user_id == user_id))


def end(work: UnitOfWork, *, rental_id: int, reason: str) -> Rental:
    """End a rental: its relays are released, its ACL ends; account and devices stay."""
    rental = get(work, rental_id)
    user = users.lock(work, rental.user_id)
    work.session.refresh(rental)  # it may have been renewed before the lock was ours
    rental.status = next_state(TRANSITIONS, rental.status, "end")
    rental.open_user_id = None
    rental.ended_at = work.now
    rental.end_reason = reason
    rental.terms_until = None
    over_at = min(rental.expires_at, work.now)
    users.set_rental_expiry(work, user, over_at, deregister_at=over_at + GRACE)
    notices.begin_grace(work, rental, over_at + GRACE)
    if reason == EXPIRED:
        notices.write(work, rental, NoticeKind.EXPIRED, due_at=rental.expires_at, is_sent=True)
    containers.release(work, rental_id=rental_id)
    acl.end(work, rental_ids=[rental_id])
    logs.record(
        work,
        action="rental.end",
        object_type="rental",
        object_id=rental_id,
        before={"expires_at": rental.expires_at},
        after={"ended_at": work.now, "reason": reason},
    )
    logs.record_history(
        work,
        user_id=rental.user_id,
        kind="rental.ended",
        rental_id=rental_id,
        detail={"reason": reason},
    )
    work.emit(RentalEnded(rental_id=rental_id, user_id=rental.user_id))
    return rental


def end_of_user(work: UnitOfWork, *, user_id: int, reason: str) -> Rental:
    """End the rental that a user has."""
    users.get(work, user_id)
    return end(work, rental_id=_open(work, user_id).id, reason=reason)


def end_expired(work: UnitOfWork, *, rental_id: int) -> None:
    """End a rental whose time is over; one that was renewed or ended meanwhile stays as it is."""
    rental = get(work, rental_id)
    users.lock(work, rental.user_id)
    work.session.refresh(rental)
    if rental.status is not RentalStatus.ENDED and rental.expires_at <= work.now:
        end(work, rental_id=rental_id, reason=EXPIRED)


def suspend_user(work: UnitOfWork, *, user_id: int, reason: str) -> None:
    """Stop a user's service and sessions; relays, ports, devices and serials are kept."""
    users.suspend(work, user_id=user_id, reason=reason)
    access.end_sessions(work, user_id=user_id, reason="suspended")
    rental = open_rental(work, user_id)
    if rental is not None:
        rental.status = next_state(TRANSITIONS, rental.status, "suspend")
        work.session.flush()
        containers.stop(work, rental_id=rental.id)
        logs.record_history(
            work,
            user_id=user_id,
            kind="rental.suspended",
            rental_id=rental.id,
            detail={"reason": reason},
        )
    work.emit(UserSuspended(user_id=user_id))


def reinstate_user(work: UnitOfWork, *, user_id: int) -> None:
    """Undo a suspension: the relays that were stopped run again."""
    user = users.reinstate(work, user_id=user_id)
    rental = open_rental(work, user_id)
    closes_at = accounts.warn_anew(work, user)
    last = opening.last_rental(work, user_id)
    if rental is None and last is not None and closes_at is not None:
        notices.begin_grace(work, last, closes_at)
    if rental is not None:
        rental.status = next_state(TRANSITIONS, rental.status, "reinstate")
        work.session.flush()
        containers.start(work, rental_id=rental.id)
        acl.after_suspension(work, user_id=user_id, running_since=rental.started_at)
        logs.record_history(work, user_id=user_id, kind="rental.reinstated", rental_id=rental.id)
    work.emit(UserReinstated(user_id=user_id))


def fill_slot(
    work: UnitOfWork, *, user_id: int, server_id: int, slot: int | None = None
) -> Placement:
    """Put a relay into an empty slot of an active rental, and make its next ACL."""
    users.refuse_suspended(users.lock(work, user_id))
    rental = _open(work, user_id)
    if rental.status is not RentalStatus.ACTIVE:
        raise RentalSuspended
    kept = containers.placements_of(work, rental_id=rental.id)
    empty = sorted(set(containers.SLOTS) - {placement.slot for placement in kept})
    if not empty:
        raise NoEmptySlot
    if slot is not None and slot not in empty:
        raise SlotTaken(slot=slot)
    filled = containers.fill(
        work,
        containers.Terms(
            user_id=user_id,
            rental_id=rental.id,
            region_base=rental.region_base,
            expires_at=rental.expires_at,
            rate_bytes_per_second=rental.rate_bytes_per_second,
        ),
        slot=slot or empty[0],
        server_id=server_id,
    )
    acl.issue(
        work,
        user_id=user_id,
        rental_id=rental.id,
        placements=sorted([*kept, filled], key=lambda placement: placement.slot),
        reason="slot_filled",
    )
    logs.record(
        work,
        action="container.allocate",
        object_type="container",
        object_id=filled.id,
        after={"user_id": user_id, "server_id": server_id, "slot": filled.slot},
    )
    return filled


def _open(work: UnitOfWork, user_id: int) -> Rental:
    rental = open_rental(work, user_id)
    if rental is None:
        raise NoOpenRental
    return rental
