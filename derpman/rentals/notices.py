"""When a customer is told of his rental's end, and that each notice is sent once.

A rental knows when its next notice is due, so that a sweep touches those alone. What was due
before the period began is not sent; of several that are due at once, because we were away, only
the last is. A renewal begins a new period.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import insert, select

from derpman.kit.work import UnitOfWork
from derpman.rentals.models import Rental, RentalNotice
from derpman.rentals.states import NoticeKind, RentalStatus
from derpman.users.models import User

BEFORE_EXPIRY: Mapping[NoticeKind, timedelta] = {
    NoticeKind.EXPIRES_IN_7: timedelta(days=7),
    NoticeKind.EXPIRES_IN_3: timedelta(days=3),
    NoticeKind.EXPIRES_IN_1: timedelta(days=1),
}
BEFORE_CLOSING: Mapping[NoticeKind, timedelta] = {
    NoticeKind.CLOSES_IN_7: timedelta(days=7),
    NoticeKind.CLOSES_IN_1: timedelta(days=1),
}


def begin_period(work: UnitOfWork, rental: Rental) -> None:
    """Have the notices of a rental begin anew: it was opened, or renewed to another end."""
    rental.period_from = work.now
    rental.next_notice_at = _next(BEFORE_EXPIRY, rental.expires_at, work.now)


def begin_grace(work: UnitOfWork, rental: Rental, closes_at: datetime) -> None:
    """Have the notices begin that come before the account is closed."""
    rental.next_notice_at = _next(BEFORE_CLOSING, closes_at, work.now)


def _next(kinds: Mapping[NoticeKind, timedelta], end: datetime, after: datetime) -> datetime | None:
    return min((end - before for before in kinds.values() if end - before > after), default=None)


def take_due(work: UnitOfWork, rental: Rental, user: User) -> NoticeKind | None:
    """Write down what is due of a rental's notices; return the one to send, if any.

    The user is locked; what was written before is not written again.
    """
    if rental.next_notice_at is None or rental.next_notice_at > work.now:
        return None
    is_over = rental.status is RentalStatus.ENDED
    end = user.deregister_at if is_over else rental.expires_at
    kinds = BEFORE_CLOSING if is_over else BEFORE_EXPIRY
    since = rental.ended_at if is_over else rental.period_from
    if end is None or since is None:
        rental.next_notice_at = None
        return None
    rental.next_notice_at = _next(kinds, end, work.now)
    if end <= work.now:
        return None  # the end itself is told by who brings it about
    known = _known(work, rental)
    due = [
        kind
        for kind, before in kinds.items()
        if since < end - before <= work.now and kind not in known
    ]
    for kind in due:
        is_sent = kind is due[-1] and rental.status is not RentalStatus.SUSPENDED
        write(work, rental, kind, due_at=end - kinds[kind], is_sent=is_sent)
    if not due or rental.status is RentalStatus.SUSPENDED:
        return None
    return due[-1]


def _known(work: UnitOfWork, rental: Rental) -> set[NoticeKind]:
    found = select(RentalNotice.kind).where(
        RentalNotice.rental_id == rental.id, RentalNotice.period == rental.period
    )
    return set(work.session.scalars(found))


def write_many(
    work: UnitOfWork, kind: NoticeKind, due: Sequence[tuple[int, int, int, datetime]]
) -> None:
    """Write down one notice of many rentals: (rental, user, period, when it was due)."""
    work.session.execute(
        insert(RentalNotice),
        [
            {
                "rental_id": rental_id,
                "user_id": user_id,
                "period": period,
                "kind": kind,
                "due_at": due_at,
                "created_at": work.now,
                "is_sent": True,
            }
            for rental_id, user_id, period, due_at in due
        ],
    )


def write(
    work: UnitOfWork, rental: Rental, kind: NoticeKind, *, due_at: datetime, is_sent: bool
) -> None:
    """Write down that a notice was due; of two at once the unique key takes one."""
    work.session.add(
        RentalNotice(
            rental_id=rental.id,
            user_id=rental.user_id,
            period=rental.period,
            kind=kind,
            due_at=due_at,
            created_at=work.now,
            is_sent=is_sent,
        )
    )
    work.session.flush()
