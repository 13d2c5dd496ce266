"""Verbs on ACL versions: make the next one, end the last, find the one in force."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update

from derpman.acl import derpmap, usage
from derpman.acl.errors import AclExpired, AclNotFound
from derpman.acl.events import AclReplaced
from derpman.acl.models import AclLog, AclVersion
from derpman.acl.states import TRANSITIONS, AclStatus
from derpman.containers.models import Placement
from derpman.containers.successors import newest
from derpman.kit import places
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.users import service as users

LIFE = timedelta(days=32)
ROTATE_AFTER = timedelta(days=29)
LATE = timedelta(hours=12)
"""Who is later than this with the next version leaves its customer the whole overlap."""
"""When the next version is made by itself."""
NO_GRACE = timedelta(0)


def issue(
    work: UnitOfWork,
    *,
    user_id: int,
    rental_id: int,
    placements: Sequence[Placement],
    reason: str,
) -> AclVersion:
    """Make the user's next ACL version, which names these placements; the last is superseded.

    Equal placements give equal bytes. Raises Unfit when the document would have faults.
    """
    made = _document(placements)
    digest = hashlib.sha256(made).hexdigest()
    last = work.session.execute(
        select(AclVersion.id, AclVersion.number, AclVersion.digest, AclVersion.status)
        .where(AclVersion.user_id == user_id)
        .order_by(AclVersion.number.desc())
        .limit(1)
    ).one_or_none()
    is_replaced = last is not None and last.status is AclStatus.CURRENT
    if last is not None and is_replaced:
        work.session.execute(
            update(AclVersion)
            .where(AclVersion.id == last.id)
            .values(
                status=next_state(TRANSITIONS, last.status, "supersede"),
                superseded_at=work.now,
                due_at=work.now,
            )
        )
    version = AclVersion(
        user_id=user_id,
        rental_id=rental_id,
        number=1 if last is None else last.number + 1,  # of two at once the unique key takes one
        document=made.decode(),
        digest=digest,
        status=AclStatus.CURRENT,
        reason=reason,
        created_at=work.now,
        expires_at=work.now + LIFE,
        due_at=work.now + ROTATE_AFTER,
    )
    work.session.add(version)
    work.session.flush()
    usage.follow(work, version)
    _record(work, version)
    if last is not None and is_replaced and last.digest != digest:
        work.emit(AclReplaced(version_id=version.id))
    return version


def _document(placements: Sequence[Placement]) -> bytes:
    """Return the map that names the newest relay of each slot."""
    return derpmap.to_json(derpmap.validated(_slot(one) for one in newest(placements)))


def _slot(placement: Placement) -> derpmap.Slot:
    return derpmap.Slot(
        region_id=placement.region_id,
        code=f"derp{placement.slot}",
        name=f"DERP {placement.slot}",
        node_name=f"{placement.region_id}a",
        address=placement.address,
        port=placement.port,
        stun_port=placement.port,
        pin=f"{derpmap.PIN_PREFIX}{placement.pin}",
    )


def _record(work: UnitOfWork, version: AclVersion) -> None:
    work.session.add(
        AclLog(
            user_id=version.user_id,
            ip_address=work.actor.ip,
            location=places.place_of(work.actor.ip).label_zh,
            acl_version=str(version.number),
            reason=version.reason,
            actor_name=work.actor.name,
            created_at=work.now,
        )
    )
    logs.record_history(
        work,
        user_id=version.user_id,
        kind="acl.issued",
        rental_id=version.rental_id,
        detail={"version": version.number, "reason": version.reason},
    )


def end(work: UnitOfWork, *, rental_ids: Sequence[int]) -> None:
    """End every ACL version of these rentals: none of them is handed out any more."""
    rows = work.session.execute(
        select(AclVersion.user_id, AclVersion.rental_id, AclVersion.number)
        .where(AclVersion.rental_id.in_(rental_ids), AclVersion.status == AclStatus.CURRENT)
        .order_by(AclVersion.id)
    ).all()
    work.session.execute(
        update(AclVersion)
        .where(AclVersion.rental_id.in_(rental_ids), AclVersion.status != AclStatus.ENDED)
        .values(status=AclStatus.ENDED, ended_at=work.now)
    )
    logs.record_histories(
        work,
        kind="acl.ended",
        rows=[(row.user_id, row.rental_id, {"version": row.number}) for row in rows],
    )


def resume(
    work: UnitOfWork,
    *,
    user_id: int,
    rental_id: int,
    placements: Sequence[Placement],
    reason: str,
) -> AclVersion:
    """Put the version in force again that ended with a customer's last rental, under the next one.

    It keeps its number, its bytes and its time. When the relays are not all where it says, the next
    version follows at once.
    """
    version = last(work, user_id=user_id)
    if version is None or version.expires_at <= work.now:
        return issue(
            work, user_id=user_id, rental_id=rental_id, placements=placements, reason=reason
        )
    work.session.execute(
        update(AclVersion)
        .where(
            AclVersion.rental_id == version.rental_id,
            AclVersion.ended_at == version.ended_at,
            AclVersion.id != version.id,
        )
        .values(rental_id=rental_id, status=AclStatus.SUPERSEDED, ended_at=None)
        .execution_options(synchronize_session=False)
    )
    version.status = next_state(TRANSITIONS, version.status, "resume")
    version.rental_id, version.ended_at = rental_id, None
    work.session.flush()
    logs.record_history(
        work,
        user_id=user_id,
        kind="acl.resumed",
        rental_id=rental_id,
        detail={"version": version.number},
    )
    if version.digest == hashlib.sha256(_document(placements)).hexdigest():
        return version
    return issue(work, user_id=user_id, rental_id=rental_id, placements=placements, reason=reason)


def last(work: UnitOfWork, *, user_id: int) -> AclVersion | None:
    """Return the newest version of a user, in force or ended."""
    return work.session.scalar(
        select(AclVersion)
        .where(AclVersion.user_id == user_id)
        .order_by(AclVersion.number.desc())
        .limit(1)
    )


def current(work: UnitOfWork, *, user_id: int) -> AclVersion | None:
    """Return the version that the user should use now, if he has one; its time may be over."""
    return work.session.scalar(
        select(AclVersion)
        .where(AclVersion.user_id == user_id, AclVersion.status == AclStatus.CURRENT)
        .order_by(AclVersion.number.desc())
        .limit(1)
    )


def leave_overlap(work: UnitOfWork, *, user_id: int, running_since: datetime) -> None:
    """Let the version in force last as long as a customer needs who is told only now of the next.

    So it is after the panel was away for days, or the customer was suspended; not when he came
    back from an ended rental himself.
    """
    version = current(work, user_id=user_id)
    if version is None:
        return
    due_at = version.created_at + ROTATE_AFTER
    if work.now > due_at + LATE and running_since <= due_at:
        version.expires_at = max(version.expires_at, work.now + LIFE - ROTATE_AFTER)
        work.session.flush()


def after_suspension(work: UnitOfWork, *, user_id: int, running_since: datetime) -> None:
    """Have a customer's version go on after a suspension; a next one that is late is due now."""
    leave_overlap(work, user_id=user_id, running_since=running_since)
    version = current(work, user_id=user_id)
    if version is not None and version.created_at + ROTATE_AFTER <= work.now:
        version.due_at = work.now  # it was put off while he was suspended
        work.session.flush()


def get(work: UnitOfWork, version_id: int) -> AclVersion:
    """Return a version by its id; AclNotFound when there is none."""
    version = work.session.get(AclVersion, version_id)
    if version is None:
        raise AclNotFound
    return version


def ends_at(version: AclVersion, grace: timedelta) -> datetime:
    """Return from when on a version is not handed out any more."""
    return version.expires_at + grace


def offered(work: UnitOfWork, *, user_id: int, grace: timedelta = NO_GRACE) -> AclVersion:
    """Return the version that a customer may take now: his own, paid for and in force.

    Raises AclNotFound without a running rental, AclExpired when its 32 days are over, and
    Suspended for who is.
    """
    user = users.require_active(work, user_id)
    version = current(work, user_id=user_id)
    if version is None or user.rental_expiry is None or user.rental_expiry <= work.now:
        raise AclNotFound
    if ends_at(version, grace) <= work.now:
        ended_at = ends_at(version, grace).isoformat()
        raise AclExpired(version=version.number, ended_at=ended_at)
    return version
