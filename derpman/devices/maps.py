"""Which map devices use: whether they are on relays that only the old or the new one names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import and_, exists, or_, select

from derpman.acl import overlap
from derpman.acl.models import AclUsage
from derpman.acl.overlap import Overlap, is_settled
from derpman.acl.states import Evidence
from derpman.devices.models import Presence
from derpman.kit.work import UnitOfWork


@dataclass(frozen=True)
class Seen:
    """Where a customer's devices were when one looked."""

    user_id: int
    version_id: int
    """Of his ACL version in force then."""
    is_on_new: bool
    is_on_old: bool


def changed(
    work: UnitOfWork, *, after: int, limit: int, settle: timedelta
) -> tuple[list[Seen], int | None]:
    """Return what is to be written down of customers whose map is not known, by user.

    Beside it where the next page begins. Five statements for a page; of customers nobody of whom
    is connected, and of whom that is written down, nothing is read.
    """
    is_present = exists().where(Presence.user_id == AclUsage.user_id)
    is_pushed = and_(
        AclUsage.version_id == AclUsage.current_id, AclUsage.evidence == Evidence.PUSHED
    )
    rows = work.session.scalars(
        select(AclUsage)
        .where(AclUsage.is_watched, AclUsage.user_id > after)
        .where(
            or_(
                is_present,
                AclUsage.on_new_since.is_not(None),
                AclUsage.off_old_since.is_(None),
                is_pushed,
            )
        )
        .order_by(AclUsage.user_id)
        .limit(limit)
    ).all()
    ids = [one.user_id for one in rows]
    on: dict[int, set[int]] = {user_id: set() for user_id in ids}
    for user_id, placement_id in work.session.execute(
        select(Presence.user_id, Presence.placement_id).where(Presence.user_id.in_(ids)).distinct()
    ):
        on[user_id].add(placement_id)
    overlaps = overlap.of_many(work, user_ids=ids)
    found = [
        seen
        for one in rows
        if (versions := overlaps.get(one.user_id)) is not None
        if (seen := _news(work, one, versions, on[one.user_id], settle)) is not None
    ]
    return found, ids[-1] if len(ids) == limit else None


def _news(
    work: UnitOfWork, known: AclUsage, versions: Overlap, present: set[int], settle: timedelta
) -> Seen | None:
    """Return where a customer's devices are, unless that is written down and nothing follows."""
    is_on_new = any(one.id in present for one in versions.new)
    is_on_old = any(one.id in present for one in versions.old)
    written = (known.on_new_since is not None, known.off_old_since is None)
    if written == (is_on_new, is_on_old) and not is_settled(work, known, versions, settle):
        return None
    return Seen(known.user_id, versions.current.id, is_on_new, is_on_old)


def note(work: UnitOfWork, *, seen: Seen, settle: timedelta) -> None:
    """Write down where a customer's devices are; retire old relays that nobody uses any more."""
    overlap.note_presence(
        work,
        user_id=seen.user_id,
        version_id=seen.version_id,
        is_on_new=seen.is_on_new,
        is_on_old=seen.is_on_old,
        settle=settle,
    )
