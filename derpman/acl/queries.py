"""Selects behind the lists of the ACL module: newest first, by key."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, defer

from derpman.acl.models import AclDownload, AclJob, AclLog, AclRotation, AclUsage, AclVersion
from derpman.acl.states import AclStatus, Evidence, RotationStatus
from derpman.kit.paging import page
from derpman.kit.work import UnitOfWork
from derpman.users.models import User

Row = TypeVar("Row", AclLog, AclDownload)


def versions(
    work: UnitOfWork,
    *,
    user_id: int | None = None,
    status: AclStatus | None = None,
    before: int | None,
    limit: int,
    sort: str | None = None,
) -> tuple[list[AclVersion], int | None]:
    """Return versions without their documents."""
    found = select(AclVersion).options(defer(AclVersion.document, raiseload=True))
    if user_id is not None:
        found = found.where(AclVersion.user_id == user_id)
    if status is not None:
        found = found.where(AclVersion.status == status)
    return page(work.session, found, AclVersion.id, before, limit, sort)


def superseded_due(work: UnitOfWork, *, limit: int) -> Sequence[int]:
    """Return ids of superseded versions that want attention, the longest due first."""
    return _due(work, AclStatus.SUPERSEDED, limit)


def rotation_due(work: UnitOfWork, *, limit: int) -> Sequence[int]:
    """Return ids of versions in force whose successor is due, the longest due first."""
    return _due(work, AclStatus.CURRENT, limit)


def _due(work: UnitOfWork, status: AclStatus, limit: int) -> Sequence[int]:
    return work.session.scalars(
        select(AclVersion.id)
        .where(AclVersion.status == status, AclVersion.due_at <= work.now)
        .order_by(AclVersion.due_at)
        .limit(limit)
    ).all()


def superseded_before(work: UnitOfWork, *, version_id: int) -> Sequence[int]:
    """Return ids of the same user's superseded versions before this one."""
    mine = select(AclVersion.user_id, AclVersion.number).where(AclVersion.id == version_id)
    row = work.session.execute(mine).one_or_none()
    if row is None:
        return []
    return work.session.scalars(
        select(AclVersion.id)
        .where(
            AclVersion.user_id == row.user_id,
            AclVersion.number < row.number,
            AclVersion.status == AclStatus.SUPERSEDED,
        )
        .order_by(AclVersion.number)
    ).all()


def rotations(
    work: UnitOfWork,
    *,
    user_id: int | None = None,
    job_id: int | None = None,
    status: RotationStatus | None = None,
    before: int | None,
    limit: int,
    sort: str | None = None,
) -> tuple[list[AclRotation], int | None]:
    """Return how next versions were made, newest first."""
    found = select(AclRotation)
    if user_id is not None:
        found = found.where(AclRotation.user_id == user_id)
    if job_id is not None:
        found = found.where(AclRotation.job_id == job_id)
    if status is not None:
        found = found.where(AclRotation.status == status)
    return page(work.session, found, AclRotation.id, before, limit, sort)


def rotation_ids(work: UnitOfWork, *, status: RotationStatus, limit: int) -> Sequence[int]:
    """Return the oldest rotations in a state."""
    return work.session.scalars(
        select(AclRotation.id)
        .where(AclRotation.status == status)
        .order_by(AclRotation.id)
        .limit(limit)
    ).all()


def begun_since(work: UnitOfWork, *, since: datetime) -> int:
    """Return how many rotations with new relays have begun since an instant."""
    begun = select(func.count(AclRotation.id)).where(AclRotation.begun_at > since)
    return work.session.scalar(begun) or 0


def jobs(
    work: UnitOfWork, *, before: int | None, limit: int, sort: str | None = None
) -> tuple[list[AclJob], int | None]:
    """Return jobs, newest first."""
    return page(work.session, select(AclJob), AclJob.id, before, limit, sort)


def job_progress(
    work: UnitOfWork, *, job_ids: Sequence[int]
) -> dict[int, dict[RotationStatus, int]]:
    """Return how many rotations of jobs are in which state, by job."""
    rows = work.session.execute(
        select(AclRotation.job_id, AclRotation.status, func.count(AclRotation.id))
        .where(AclRotation.job_id.in_(job_ids))
        .group_by(AclRotation.job_id, AclRotation.status)
    )
    found: dict[int, dict[RotationStatus, int]] = {job_id: {} for job_id in job_ids}
    for job_id, status, count in rows:
        if job_id is not None:
            found[job_id][status] = count
    return found


def usages(
    work: UnitOfWork,
    *,
    user_id: int | None = None,
    evidence: Evidence | None = None,
    is_behind: bool | None = None,
    before: int | None,
    limit: int,
    sort: str | None = None,
) -> tuple[list[AclUsage], int | None]:
    """Return what is known of tailnets, by user, the newest user first."""
    found = select(AclUsage)
    if user_id is not None:
        found = found.where(AclUsage.user_id == user_id)
    if evidence is not None:
        found = found.where(AclUsage.evidence == evidence)
    if is_behind is not None:
        behind = or_(AclUsage.version_id.is_(None), AclUsage.version_id != AclUsage.current_id)
        found = found.where(behind if is_behind else ~behind)
    return page(work.session, found, AclUsage.user_id, before, limit, sort)


def generations(
    work: UnitOfWork, *, before: int | None, limit: int, sort: str | None = None, **filters: Any
) -> tuple[list[AclLog], int | None]:
    """Return who made which version, when, from where and why."""
    text = (AclLog.actor_name, AclLog.reason, AclLog.acl_version, AclLog.location)
    return page(work.session, _matching(AclLog, text, **filters), AclLog.id, before, limit, sort)


def downloads(
    work: UnitOfWork,
    *,
    distributor_id: int | None = None,
    before: int | None,
    limit: int,
    sort: str | None = None,
    **filters: Any,
) -> tuple[list[AclDownload], int | None]:
    """Return who took which version in which form, when, from where and with what.

    `distributor_id`: only those of this distributor's customers.
    """
    text = (
        AclDownload.username,
        AclDownload.acl_version,
        AclDownload.location,
        AclDownload.browser,
        AclDownload.system,
    )
    found = _matching(AclDownload, text, **filters)
    if distributor_id is not None:
        his = select(User.id).where(User.distributor_id == distributor_id)
        found = found.where(AclDownload.user_id.in_(his))
    return page(work.session, found, AclDownload.id, before, limit, sort)


def _matching(
    model: type[Row],
    text: Sequence[InstrumentedAttribute[str]],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    search: str | None = None,
    **equal: Any,
) -> Select[Row]:
    """Select rows with these values, one of whose `text` columns has `search` in it."""
    found = select(model).filter_by(
        **{name: value for name, value in equal.items() if value is not None}
    )
    if since is not None:
        found = found.where(model.created_at >= since)
    if until is not None:
        found = found.where(model.created_at < until)
    if search is not None:
        part = search.lower()
        found = found.where(
            or_(*(func.lower(column).contains(part, autoescape=True) for column in text))
        )
    return found


def current_ids(work: UnitOfWork, *, user_ids: Collection[int]) -> dict[int, int]:
    """Return the versions in force of these users, by user; one statement for each thousand."""
    asked, found = list(user_ids), dict[int, int]()
    for start in range(0, len(asked), 1000):
        rows = work.session.execute(
            select(AclVersion.user_id, AclVersion.id)
            .where(
                AclVersion.user_id.in_(asked[start : start + 1000]),
                AclVersion.status == AclStatus.CURRENT,
            )
            .order_by(AclVersion.number)
        )
        found |= {row.user_id: row.id for row in rows}
    return found
