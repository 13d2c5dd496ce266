"""Old and new version side by side: notices, early retirement on evidence, and the hard end.

A relay lives while a version that is not ended names it, or while it is being prepared for the
next. Relays that only superseded versions name are the *old* ones; their nodes end them when the
last of those versions ends, whether the panel is there or not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from derpman.acl import mails, usage
from derpman.acl.models import AclUsage, AclVersion
from derpman.acl.service import NO_GRACE, ends_at
from derpman.acl.states import TRANSITIONS, AclStatus, Evidence
from derpman.containers import queries as container_queries
from derpman.containers import service as containers
from derpman.containers import successors
from derpman.containers.models import Placement
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.users import service as users
from derpman.users.states import UserStatus

FIRST_WORD = timedelta(minutes=15)
"""So long a tailnet may take what is changed regularly by itself before its customer is told."""
REMIND_AFTER = (timedelta(days=30), timedelta(days=31))
"""Of a version's life; its end is told besides, and its successor when it is made."""


@dataclass(frozen=True)
class Overlap:
    """The version in force, those before it that still work, and whose relays are whose."""

    current: AclVersion
    former: Sequence[AclVersion]
    """Superseded, not ended; the oldest first."""
    new: Sequence[Placement]
    """Relays that the version in force names and the one before it did not."""
    old: Sequence[Placement]
    """Relays that only former versions name."""
    prepared: Sequence[Placement]
    """Relays that no version names yet."""

    def names(self, version: AclVersion) -> list[Placement]:
        """Return the old relays that a former version names."""
        pins = usage.pins_of(version)
        return [one for one in self.old if one.pin in pins]


def of(work: UnitOfWork, *, user_id: int) -> Overlap | None:
    """Return how a user's versions overlap; None when none is in force."""
    return of_many(work, user_ids=[user_id]).get(user_id)


def of_many(work: UnitOfWork, *, user_ids: Sequence[int]) -> dict[int, Overlap]:
    """Return how users' versions overlap, of those who have one in force: three statements."""
    versions: dict[int, list[AclVersion]] = defaultdict(list)
    for version in work.session.scalars(
        select(AclVersion)
        .where(AclVersion.user_id.in_(user_ids), AclVersion.status != AclStatus.ENDED)
        .order_by(AclVersion.number)
        .execution_options(populate_existing=True)
    ):
        versions[version.user_id].append(version)
    before = usage.pins_before(work, user_ids=user_ids)
    live: dict[int, list[Placement]] = defaultdict(list)
    for placement in container_queries.live_of(work, user_ids=user_ids):
        live[placement.user_id].append(placement)
    return {
        user_id: _overlap(found, before.get(user_id, frozenset()), live[user_id])
        for user_id, found in versions.items()
        if found[-1].status is AclStatus.CURRENT
    }


def _overlap(
    versions: Sequence[AclVersion], before: frozenset[str], live: Sequence[Placement]
) -> Overlap:
    current, former = versions[-1], versions[:-1]
    named = usage.pins_of(current)
    left = frozenset[str]().union(*(usage.pins_of(version) for version in former)) - named
    return Overlap(
        current,
        former,
        new=[one for one in live if one.pin in named - before],
        old=[one for one in live if one.pin in left],
        prepared=[one for one in live if one.pin not in named | left],
    )


def unused(work: UnitOfWork, *, user_id: int) -> set[int]:
    """Return the relays of a user that no map in use names, as far as we know.

    In use is the version known to be applied; when nothing is known, the oldest that still works.
    So is the one in force as soon as a device is on a relay that it alone names.
    """
    overlap = of(work, user_id=user_id)
    if overlap is None:
        return set()
    known = usage.of(work, user_id=user_id)
    versions = [*overlap.former, overlap.current]
    applied = next((one for one in versions if known and one.id == known.version_id), versions[0])
    pins = usage.pins_of(applied)
    if known is not None and known.on_new_since is not None:
        pins |= usage.pins_of(overlap.current)
    live = containers.placements_of(work, user_id=user_id)
    return {one.id for one in live if one.pin not in pins}


def attend(work: UnitOfWork, *, version_id: int, grace: timedelta = NO_GRACE) -> None:
    """Do what is due of a superseded version: give its relays their end, remind, or end it."""
    user_id = work.session.scalar(select(AclVersion.user_id).where(AclVersion.id == version_id))
    if user_id is None:
        return
    user = users.lock(work, user_id)
    overlap = of(work, user_id=user_id)
    if overlap is None:
        return
    version = next((one for one in overlap.former if one.id == version_id), None)
    if version is None or version.due_at is None or version.due_at > work.now:
        return
    known = usage.of(work, user_id=user_id)
    over_at = ends_at(version, grace)
    is_left = bool(overlap.names(version))
    if not is_left or over_at <= work.now:
        _end(work, [version])
        is_cut = is_left and (known is None or not usage.is_taken(known))
        if is_cut and user.status is UserStatus.ACTIVE:
            mails.tell_ended(work, version=version, current=overlap.current)
        return
    successors.set_ends(work, ends=_ends(overlap, grace))
    is_open = known is None or not usage.is_taken(known)
    if is_open and user.status is UserStatus.ACTIVE:
        _tell(work, version, overlap.current, over_at)
    version.due_at = min(at for at in (*_words(version), over_at) if at > work.now)
    work.session.flush()


def _words(version: AclVersion) -> list[datetime]:
    """Return when a customer is told of a superseded version: first of the next, then reminded."""
    superseded_at = version.superseded_at or version.created_at
    reminders = [version.created_at + after for after in REMIND_AFTER]
    return [superseded_at + FIRST_WORD, *(at for at in reminders if at > superseded_at)]


def _tell(work: UnitOfWork, version: AclVersion, current: AclVersion, ends_at: datetime) -> None:
    """Tell a customer what is due: each word once, and of several the last."""
    first, *reminders = _words(version)
    due = [at for at in reminders if at <= work.now]
    if due:
        day = (due[-1] - version.created_at).days
        mails.remind(work, version=version, current=current, day=day, ends_at=ends_at)
    elif first <= work.now and current.reason == mails.ROTATION:
        mails.tell_rotated(work, version=current, ends_at=ends_at)


def _ends(overlap: Overlap, grace: timedelta) -> dict[int, datetime | None]:
    """Return when old relays end: with the last of the versions that name them."""
    ends: dict[int, datetime | None] = {}
    for version in overlap.former:
        for one in overlap.names(version):
            known = ends.get(one.id)
            over_at = ends_at(version, grace)
            ends[one.id] = over_at if known is None else max(known, over_at)
    return ends


def _end(work: UnitOfWork, versions: Sequence[AclVersion]) -> None:
    """End superseded versions; relays that no other version names are retired."""
    for version in versions:
        version.status = next_state(TRANSITIONS, version.status, "end")
        version.ended_at, version.due_at = work.now, None
    work.session.flush()
    user_id = versions[0].user_id
    overlap = of(work, user_id=user_id)
    if overlap is None:
        return
    pins = frozenset[str]()
    for version in versions:
        pins |= usage.pins_of(version)
    kept = usage.pins_of(overlap.current) | {one.pin for one in overlap.old}
    gone = [
        one
        for one in containers.placements_of(work, user_id=user_id)
        if one.pin in pins and one.pin not in kept
    ]
    successors.retire(work, placement_ids=[one.id for one in gone])
    logs.record_history(
        work,
        user_id=user_id,
        kind="acl.superseded_ended",
        rental_id=versions[0].rental_id,
        detail={
            "versions": [version.number for version in versions],
            "retired": [f"{one.address}:{one.port}" for one in gone],
        },
    )


def note_presence(
    work: UnitOfWork,
    *,
    user_id: int,
    version_id: int,
    is_on_new: bool,
    is_on_old: bool,
    settle: timedelta,
) -> bool:
    """Take up where a user's devices are; True when that ended what is before the version in force.

    `is_settled` says when. `version_id` is the one in force when one looked.
    """
    users.lock(work, user_id)
    known = usage.of(work, user_id=user_id)
    if known is None or known.current_id != version_id or not known.is_watched:
        return False
    work.session.refresh(known)
    known.on_new_since = (known.on_new_since or work.now) if is_on_new else None
    known.off_old_since = None if is_on_old else known.off_old_since or work.now
    work.session.flush()
    overlap = of(work, user_id=user_id)
    if overlap is None or not is_settled(work, known, overlap, settle):
        return False
    is_known = known.version_id == version_id and known.evidence is not None
    evidence = known.evidence if is_known else Evidence.PRESENCE
    usage.record(
        work, user_id=user_id, version_id=version_id, evidence=evidence or Evidence.PRESENCE
    )
    known.is_watched = False
    if overlap.former:
        _end(work, overlap.former)
    return True


def is_settled(work: UnitOfWork, known: AclUsage, overlap: Overlap, settle: timedelta) -> bool:
    """Tell whether a tailnet has left the old relays, as far as one can see.

    For the time `settle` no device was on any of them, and one was on a new one, or the new version
    was pushed. Where no old relay is left, one look at a new one is enough.
    """
    waits = settle if overlap.old else timedelta(0)

    def lasts(since: datetime | None) -> bool:
        return since is not None and since <= work.now - waits

    is_pushed = known.version_id == known.current_id and known.evidence is Evidence.PUSHED
    return lasts(known.off_old_since) and (lasts(known.on_new_since) or is_pushed)
