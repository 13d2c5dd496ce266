"""Verbs on ACL versions: make the next one, end the last."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select, update

from derpman.acl import derpmap
from derpman.acl.models import AclLog, AclVersion
from derpman.acl.states import TRANSITIONS, AclStatus
from derpman.containers.models import Placement
from derpman.kit import places
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs

LIFE = timedelta(days=32)


def issue(
    work: UnitOfWork,
    *,
    user_id: int,
    rental_id: int,
    placements: Sequence[Placement],
    reason: str,
) -> AclVersion:
    """Make the user's next ACL version, which names these placements; the last is superseded."""
    made = derpmap.to_json(derpmap.validated(_slot(placement) for placement in placements))
    newest = select(func.max(AclVersion.number)).where(AclVersion.user_id == user_id)
    last = work.session.scalar(newest) or 0
    if last:
        work.session.execute(
            update(AclVersion)
            .where(AclVersion.user_id == user_id, AclVersion.status == AclStatus.CURRENT)
            .values(status=next_state(TRANSITIONS, AclStatus.CURRENT, "supersede"))
        )
    version = AclVersion(
        user_id=user_id,
        rental_id=rental_id,
        number=last + 1,
        document=made.decode(),
        digest=hashlib.sha256(made).hexdigest(),
        status=AclStatus.CURRENT,
        reason=reason,
        created_at=work.now,
        expires_at=work.now + LIFE,
    )
    work.session.add(version)
    work.session.add(
        AclLog(
            user_id=user_id,
            ip_address=work.actor.ip,
            location=places.place_of(work.actor.ip).label_zh[:128],
            acl_version=str(version.number),
            reason=reason,
            actor_name=work.actor.name,
            created_at=work.now,
        )
    )
    logs.record_history(
        work,
        user_id=user_id,
        kind="acl.issued",
        rental_id=rental_id,
        detail={"version": version.number, "reason": reason},
    )
    return version


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


def end(work: UnitOfWork, *, rental_id: int) -> None:
    """End every ACL version of a rental."""
    work.session.execute(
        update(AclVersion)
        .where(AclVersion.rental_id == rental_id, AclVersion.status != AclStatus.ENDED)
        .values(status=AclStatus.ENDED, ended_at=work.now)
    )


def current(work: UnitOfWork, *, user_id: int) -> AclVersion | None:
    """Return the version that the user should use now, if he has one."""
    return work.session.scalar(
        select(AclVersion)
        .where(AclVersion.user_id == user_id, AclVersion.status == AclStatus.CURRENT)
        .order_by(AclVersion.number.desc())
        .limit(1)
    )
