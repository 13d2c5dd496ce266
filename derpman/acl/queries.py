"""Selects behind the lists of the ACL module: newest first, by key."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, defer

from derpman.acl.models import AclDownload, AclLog, AclVersion
from derpman.acl.states import AclStatus
from derpman.kit.paging import page
from derpman.kit.work import UnitOfWork

Row = TypeVar("Row", AclLog, AclDownload)


def versions(
    work: UnitOfWork,
    *,
    user_id: int | None = None,
    status: AclStatus | None = None,
    before: int | None,
    limit: int,
) -> tuple[list[AclVersion], int | None]:
    """Return versions without their documents."""
    found = select(AclVersion).options(defer(AclVersion.document, raiseload=True))
    if user_id is not None:
        found = found.where(AclVersion.user_id == user_id)
    if status is not None:
        found = found.where(AclVersion.status == status)
    return page(work.session, found, AclVersion.id, before, limit)


def generations(
    work: UnitOfWork, *, before: int | None, limit: int, **filters: Any
) -> tuple[list[AclLog], int | None]:
    """Return who made which version, when, from where and why."""
    text = (AclLog.actor_name, AclLog.reason, AclLog.acl_version, AclLog.location)
    return page(work.session, _matching(AclLog, text, **filters), AclLog.id, before, limit)


def downloads(
    work: UnitOfWork, *, before: int | None, limit: int, **filters: Any
) -> tuple[list[AclDownload], int | None]:
    """Return who took which version in which form, when, from where and with what."""
    text = (
        AclDownload.username,
        AclDownload.acl_version,
        AclDownload.location,
        AclDownload.browser,
        AclDownload.system,
    )
    found = _matching(AclDownload, text, **filters)
    return page(work.session, found, AclDownload.id, before, limit)


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
