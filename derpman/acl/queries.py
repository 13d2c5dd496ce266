"""Selects behind the lists of the ACL module: newest first, by key."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, select
from sqlalchemy.orm import defer

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
    return page(work.session, _matching(AclLog, **filters), AclLog.id, before, limit)


def downloads(
    work: UnitOfWork, *, before: int | None, limit: int, **filters: Any
) -> tuple[list[AclDownload], int | None]:
    """Return who took which version in which form, when, from where and with what."""
    return page(work.session, _matching(AclDownload, **filters), AclDownload.id, before, limit)


def _matching(
    model: type[Row],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    **equal: Any,
) -> Select[Row]:
    found = select(model).filter_by(
        **{name: value for name, value in equal.items() if value is not None}
    )
    if since is not None:
        found = found.where(model.created_at >= since)
    if until is not None:
        found = found.where(model.created_at < until)
    return found
