"""Which version a customer's tailnet has applied, since when, and how that is known.

A push that was confirmed, a fetch by his headscale, his devices seen on relays that only the new
map names, or his own word. What is known only ever moves to a newer version.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta

from sqlalchemy import and_, select
from sqlalchemy.orm import aliased

from derpman.acl import derpmap
from derpman.acl.errors import AclNotFound
from derpman.acl.models import AclAddress, AclUsage, AclVersion
from derpman.acl.states import AclStatus, Evidence
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.users import service as users

POLLS_WITHIN = timedelta(days=2)
"""An address that was fetched so lately is followed by a headscale."""


def pins_of(version: AclVersion) -> frozenset[str]:
    """Return the pins of the relays that a version names; a pin is one relay's for ever."""
    return pins_in(version.document)


def pins_in(document: str) -> frozenset[str]:
    """Return the pins of the relays that a document names."""
    slots = derpmap.slots_of(json.loads(document))
    return frozenset(slot.pin.removeprefix(derpmap.PIN_PREFIX) for slot in slots)


def pins_before(work: UnitOfWork, *, user_ids: Sequence[int]) -> dict[int, frozenset[str]]:
    """Return the pins that the version before the one in force named, by user."""
    before = aliased(AclVersion)
    rows = work.session.execute(
        select(before.user_id, before.document)
        .join(
            AclVersion,
            and_(AclVersion.user_id == before.user_id, AclVersion.number == before.number + 1),
        )
        .where(AclVersion.user_id.in_(user_ids), AclVersion.status == AclStatus.CURRENT)
    )
    return {user_id: pins_in(document) for user_id, document in rows}


def of(work: UnitOfWork, *, user_id: int) -> AclUsage | None:
    """Return what is known of a user's tailnet; None when he never had a version."""
    return work.session.get(AclUsage, user_id)


def follow(work: UnitOfWork, version: AclVersion) -> None:
    """Begin to find out whether a new version is applied; bytes that are applied already count."""
    before = pins_before(work, user_ids=[version.user_id]).get(version.user_id, frozenset())
    usage = of(work, user_id=version.user_id)
    if usage is None:
        usage = AclUsage(user_id=version.user_id, current_id=version.id)
    known = None if usage.version_id is None else work.session.get(AclVersion, usage.version_id)
    is_same = known is not None and known.digest == version.digest
    if is_same:
        usage.version_id = version.id
    usage.current_id = version.id
    usage.is_watched = not is_same and bool(pins_of(version) - before)
    usage.on_new_since = usage.off_old_since = None
    work.session.add(usage)
    work.session.flush()


def record(work: UnitOfWork, *, user_id: int, version_id: int, evidence: Evidence) -> bool:
    """Write down that a user's tailnet has applied a version of his; False when that is no news.

    An older version than the one known to be applied is no news: tidings may overtake each other.
    """
    usage = of(work, user_id=user_id)
    version = work.session.get(AclVersion, version_id)
    if usage is None or version is None or version.user_id != user_id:
        raise AclNotFound
    known = None if usage.version_id is None else work.session.get(AclVersion, usage.version_id)
    if known is not None and known.number >= version.number:
        if known.id == version.id and evidence is Evidence.PUSHED:
            usage.evidence = evidence  # the surest of all
        return False
    usage.version_id, usage.evidence, usage.since = version.id, evidence, work.now
    work.session.flush()
    logs.record_history(
        work,
        user_id=user_id,
        kind="acl.applied",
        rental_id=version.rental_id,
        detail={"version": version.number, "evidence": evidence},
    )
    work.wake("live")
    return True


def note_pushed(work: UnitOfWork, *, user_id: int, version_id: int, at: str) -> None:
    """Take up that a version stands in a user's policy; `at` is when it was seen there."""
    users.lock(work, user_id)
    record(work, user_id=user_id, version_id=version_id, evidence=Evidence.PUSHED)


def note_undone(work: UnitOfWork, *, user_id: int, version_id: int, at: str) -> None:
    """Take up that a user's policy has a version no more: what it has now is not known."""
    users.lock(work, user_id)
    usage = of(work, user_id=user_id)
    if usage is None or usage.version_id != version_id:
        return
    usage.version_id = usage.evidence = usage.since = None
    usage.is_watched = True
    work.session.flush()
    work.wake("live")


def tell(work: UnitOfWork, *, number: int) -> AclUsage:
    """Take the actor's word that he applied a version of his that works now."""
    user = users.require_active(work, work.actor.user_id or 0)
    users.lock(work, user.id)
    version = work.session.scalar(
        select(AclVersion).where(AclVersion.user_id == user.id, AclVersion.number == number)
    )
    usage = of(work, user_id=user.id)
    if version is None or usage is None or version.status is AclStatus.ENDED:
        raise AclNotFound
    if record(work, user_id=user.id, version_id=version.id, evidence=Evidence.TOLD):
        logs.record_user(work, user_id=user.id, action="acl.told", detail={"version": number})
    return usage


def is_taken(usage: AclUsage) -> bool:
    """Tell whether the version in force is applied, as far as we know, and no device is left."""
    return usage.version_id == usage.current_id and usage.off_old_since is not None


def takes_by_itself(work: UnitOfWork, *, user_id: int) -> bool:
    """Tell whether a user's tailnet follows his secret address: it was fetched lately."""
    fetched_at = work.session.scalar(
        select(AclAddress.fetched_at).where(AclAddress.live_user_id == user_id)
    )
    return fetched_at is not None and fetched_at > work.now - POLLS_WITHIN


def numbers(work: UnitOfWork, version_ids: Iterable[int | None]) -> dict[int, int]:
    """Return the numbers of versions by their ids."""
    ids = {one for one in version_ids if one is not None}
    rows = work.session.execute(
        select(AclVersion.id, AclVersion.number).where(AclVersion.id.in_(ids))
    )
    return {row.id: row.number for row in rows}
