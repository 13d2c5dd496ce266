"""Verbs that end an account. What it did stays; nobody can be it any more.

The address is free for a new account, because whoever has it proves so by mail. The username stays
taken: it stands in logs and statements, where another person must not be mistaken for this one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import case, select, update

from derpman.kit.states import next_state
from derpman.kit.work import STAFF, Role, UnitOfWork
from derpman.logs import service as logs
from derpman.users.errors import StaffStays
from derpman.users.models import User
from derpman.users.states import TRANSITIONS, UserStatus

UNUSABLE = "!"
"""No password has this hash."""
LEAST_WARNING = timedelta(days=7)
"""So long at least a reinstated user has before his account is deregistered by itself."""


def lock_many(work: UnitOfWork, *, user_ids: Sequence[int]) -> None:
    """Lock accounts until the transaction ends, in the order of their ids."""
    work.session.execute(
        select(User.id).where(User.id.in_(user_ids)).order_by(User.id).with_for_update()
    )


def set_ends(work: UnitOfWork, *, ends: Mapping[int, datetime]) -> None:
    """Keep on accounts when they end by themselves, their service being over; they are locked."""
    work.session.execute(
        update(User)
        .where(User.id.in_(ends))
        .values(deregister_at=case(dict(ends), value=User.id), version=User.version + 1)
        .execution_options(synchronize_session=False)
    )


def begin(work: UnitOfWork, user: User, *, reason: str) -> None:
    """Have an account end as soon as its relays are gone; who calls this has locked it."""
    if user.role in STAFF:
        raise StaffStays
    before, user.status = user.status, next_state(TRANSITIONS, user.status, "deregister")
    user.status_reason = reason
    user.deregister_at = None
    work.session.flush()
    work.wake("sessions")
    _record(work, user, "user.deregister", before, reason)


def finish(work: UnitOfWork, user: User) -> None:
    """Close an account for good; who calls this has locked it and ends its sessions."""
    before, user.status = user.status, next_state(TRANSITIONS, user.status, "close")
    user.deregistered_at = work.now
    user.former_email_key = user.email_key
    user.email_key = f"deregistered {user.id}"  # an address has no blank: it can be nobody's
    user.password = UNUSABLE
    work.session.flush()
    _record(work, user, "user.close", before, user.status_reason)


def _record(
    work: UnitOfWork, user: User, action: str, before: UserStatus, reason: str | None
) -> None:
    logs.record(
        work,
        action=action,
        object_type="user",
        object_id=user.id,
        before={"status": before},
        after={"status": user.status, "reason": reason},
    )


def warn_anew(work: UnitOfWork, user: User) -> datetime | None:
    """Leave a reinstated user time to renew; return when his account ends by itself, if it does."""
    if user.deregister_at is not None:
        # A moment more, so that the notice of seven days is still before us.
        soonest = work.now + LEAST_WARNING + timedelta(minutes=1)
        user.deregister_at = max(user.deregister_at, soonest)
        work.session.flush()
    return user.deregister_at


def mark(work: UnitOfWork, user: User, *, reason: str) -> None:
    """Let nobody renew this account; who calls this has locked it."""
    before = {"marked": user.no_renewal_at is not None, "reason": user.no_renewal_reason}
    user.no_renewal_at = user.no_renewal_at or work.now
    user.no_renewal_reason = reason
    work.session.flush()
    logs.record(
        work,
        action="user.no_renewal",
        object_type="user",
        object_id=user.id,
        before=before,
        after={"marked": True, "reason": reason},
    )


def unmark(work: UnitOfWork, user: User) -> None:
    """Let the account be renewed again; nothing happens when it is not marked."""
    if user.no_renewal_at is None:
        return
    before = {"marked": True, "reason": user.no_renewal_reason}
    user.no_renewal_at = user.no_renewal_reason = None
    work.session.flush()
    logs.record(
        work,
        action="user.renewal_allowed",
        object_type="user",
        object_id=user.id,
        before=before,
        after={"marked": False},
    )


def due(work: UnitOfWork, *, limit: int) -> Sequence[int]:
    """Return customers whose account is to be deregistered by itself, the longest due first.

    Not the suspended, who could not renew; and no staff or distributors, who do more than rent.
    """
    return work.session.scalars(
        select(User.id)
        .where(
            User.status == UserStatus.ACTIVE,
            User.deregister_at <= work.now,
            User.role == Role.USER,
        )
        .order_by(User.deregister_at)
        .limit(limit)
    ).all()


def under_way(work: UnitOfWork, *, after: int, limit: int) -> Sequence[int]:
    """Return accounts that are being closed, by id from `after` on."""
    return work.session.scalars(
        select(User.id)
        .where(User.status == UserStatus.CLOSING, User.id > after)
        .order_by(User.id)
        .limit(limit)
    ).all()
