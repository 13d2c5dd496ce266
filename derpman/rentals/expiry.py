"""The end of many rentals at once, whose time is over: a few statements for hundreds of them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import case, select, update

from derpman.acl import service as acl
from derpman.containers import leaving
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.rentals import notices
from derpman.rentals.events import RentalEnded
from derpman.rentals.models import Rental
from derpman.rentals.service import EXPIRED, GRACE
from derpman.rentals.states import TRANSITIONS, NoticeKind, RentalStatus
from derpman.users import closing as accounts

RUNNING = (RentalStatus.ACTIVE, RentalStatus.SUSPENDED)
FIRST_WARNING = max(notices.BEFORE_CLOSING.values())


def end_many(work: UnitOfWork, *, rental_ids: Sequence[int]) -> int:
    """End those of the rentals whose time is over, as `service.end` ends one; return how many.

    One that was renewed or ended meanwhile stays as it is: users are locked first, in the order of
    their ids, and rentals are looked at after that.
    """
    user_ids = sorted(
        work.session.scalars(select(Rental.user_id).where(Rental.id.in_(rental_ids))).all()
    )
    accounts.lock_many(work, user_ids=user_ids)
    due = work.session.execute(
        select(Rental.id, Rental.user_id, Rental.expires_at, Rental.period, Rental.status)
        .where(Rental.id.in_(rental_ids), Rental.status.in_(RUNNING), Rental.expires_at <= work.now)
        .order_by(Rental.id)
    ).all()
    if not due:
        return 0
    ids = [one.id for one in due]
    first_warning = {
        one.id: one.expires_at + GRACE - FIRST_WARNING
        for one in due
        if one.expires_at + GRACE - FIRST_WARNING > work.now
    }
    values = {
        "status": next_state(TRANSITIONS, RentalStatus.ACTIVE, "end"),
        "open_user_id": None,
        "ended_at": work.now,
        "end_reason": EXPIRED,
        "terms_until": None,
        "next_notice_at": work.now,  # who is so late is told what is left to tell
        "version": Rental.version + 1,
    }
    if first_warning:
        values["next_notice_at"] = case(first_warning, value=Rental.id, else_=work.now)
    work.session.execute(
        update(Rental)
        .where(Rental.id.in_(ids))
        .values(values)
        .execution_options(synchronize_session=False)
    )
    notices.write_many(
        work,
        NoticeKind.EXPIRED,
        [(one.id, one.user_id, one.period, one.expires_at) for one in due],
    )
    accounts.set_ends(work, ends={one.user_id: one.expires_at + GRACE for one in due})
    acl.end(work, rental_ids=ids)
    logs.record_many(
        work,
        action="rental.end",
        object_type="rental",
        rows=[
            (one.id, {"expires_at": one.expires_at}, {"ended_at": work.now, "reason": EXPIRED})
            for one in due
        ],
    )
    logs.record_histories(
        work,
        kind="rental.ended",
        rows=[(one.user_id, one.id, {"reason": EXPIRED}) for one in due],
    )
    work.emit_all([RentalEnded(rental_id=one.id, user_id=one.user_id) for one in due])
    # What needs no server was written before they are locked, in the order of their ids.
    leaving.release_many(work, rental_ids=ids)
    return len(due)
