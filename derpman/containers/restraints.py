"""Relays that are throttled or stopped for a while because of what an alert tells.

A restraint stands beside what is wanted of a relay and beside its quota, and changes neither: when
it is lifted all is as it was.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, select

from derpman.alerts.models import Reaction
from derpman.containers.models import Placement, Restraint
from derpman.containers.states import Wanted
from derpman.kit.work import UnitOfWork
from derpman.servers import service as servers

STOPS = (
    select(func.count(Restraint.id))
    .where(Restraint.user_id == Placement.user_id, Restraint.reaction == Reaction.STOP)
    .correlate(Placement)
    .scalar_subquery()
)
"""Of a placement's customer: how many restraints stop his relays."""
THROTTLE = (
    select(func.min(Restraint.bytes_per_second))
    .where(Restraint.user_id == Placement.user_id, Restraint.reaction == Reaction.THROTTLE)
    .correlate(Placement)
    .scalar_subquery()
)
"""Of a placement's customer: the least speed that a restraint leaves him, in bytes a second."""


def slowed(rate_bytes_per_second: int, throttle_bytes_per_second: int | None) -> int:
    """Return the speed of a relay under a throttle; a plan's 0 is no limit."""
    if throttle_bytes_per_second is None:
        return rate_bytes_per_second
    if rate_bytes_per_second == 0:
        return throttle_bytes_per_second
    return min(rate_bytes_per_second, throttle_bytes_per_second)


def restrain(
    work: UnitOfWork,
    *,
    alert_id: int,
    user_id: int,
    reaction: Reaction,
    bytes_per_second: int,
    until: datetime,
) -> None:
    """Throttle or stop a customer's relays while an alert is open, until that instant at least."""
    known = work.session.scalar(select(Restraint).where(Restraint.alert_id == alert_id))
    if known is not None:
        known.until = until
        return
    work.session.add(
        Restraint(
            alert_id=alert_id,
            user_id=user_id,
            reaction=reaction,
            bytes_per_second=bytes_per_second,
            since=work.now,
            until=until,
        )
    )
    work.session.flush()
    _touch(work, user_id)


def held_until(work: UnitOfWork, *, alert_id: int) -> datetime | None:
    """Return how long the restraint of an alert lasts at least; None when there is none."""
    return work.session.scalar(select(Restraint.until).where(Restraint.alert_id == alert_id))


def lift(work: UnitOfWork, *, alert_id: int) -> None:
    """End what an alert did to relays; nothing when it did nothing."""
    user_id = work.session.scalar(select(Restraint.user_id).where(Restraint.alert_id == alert_id))
    if user_id is not None:
        work.session.execute(delete(Restraint).where(Restraint.alert_id == alert_id))
        _touch(work, user_id)


def of_user(work: UnitOfWork, *, user_id: int) -> list[Restraint]:
    """Return what restrains a customer's relays now."""
    found = select(Restraint).where(Restraint.user_id == user_id)
    return list(work.session.scalars(found.order_by(Restraint.id)))


def in_force(work: UnitOfWork) -> list[Restraint]:
    """Return everything that restrains anybody's relays now, the newest first."""
    return list(work.session.scalars(select(Restraint).order_by(Restraint.id.desc()).limit(1000)))


def _touch(work: UnitOfWork, user_id: int) -> None:
    server_ids = work.session.scalars(
        select(Placement.server_id).where(
            Placement.user_id == user_id, Placement.wanted != Wanted.RELEASED
        )
    ).all()
    if server_ids:
        servers.touch(work, server_ids=server_ids)
    work.wake("live")
