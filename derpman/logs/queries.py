"""Selects behind the lists of logs: newest first, by key."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from derpman.kit.paging import page
from derpman.kit.work import UnitOfWork
from derpman.logs.models import ServerLog, SystemLog, UserHistory, UserLog

Log = TypeVar("Log", SystemLog, UserLog, UserHistory, ServerLog)
Page = tuple[list[Log], int | None]


def system_logs(
    work: UnitOfWork,
    *,
    before: int | None,
    limit: int,
    action: str | None = None,
    search: str | None = None,
    **filters: Any,
) -> Page[SystemLog]:
    """Return the operation log; `action` is how it begins, `search` a part of names or changes."""
    found = _matching(SystemLog, SystemLog.action, action, **filters)
    if search is not None:
        part = search.lower()
        columns = (SystemLog.actor_name, SystemLog.action, SystemLog.before, SystemLog.after)
        found = found.where(
            or_(*(func.lower(column).contains(part, autoescape=True) for column in columns))
        )
    return page(work.session, found, SystemLog.id, before, limit)


def user_logs(
    work: UnitOfWork, *, before: int | None, limit: int, action: str | None = None, **filters: Any
) -> Page[UserLog]:
    """Return what users did with their accounts."""
    found = _matching(UserLog, UserLog.action, action, **filters)
    return page(work.session, found, UserLog.id, before, limit)


def history(
    work: UnitOfWork, *, before: int | None, limit: int, kind: str | None = None, **filters: Any
) -> Page[UserHistory]:
    """Return the history of use, also of accounts that are closed."""
    found = _matching(UserHistory, UserHistory.kind, kind, **filters)
    return page(work.session, found, UserHistory.id, before, limit)


def server_logs(
    work: UnitOfWork, *, before: int | None, limit: int, action: str | None = None, **filters: Any
) -> Page[ServerLog]:
    """Return what was done on servers."""
    found = _matching(ServerLog, ServerLog.action, action, **filters)
    return page(work.session, found, ServerLog.id, before, limit)


def _matching(
    model: type[Log],
    beginning_column: InstrumentedAttribute[str],
    beginning: str | None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    **equal: Any,
) -> Select[Log]:
    found = select(model).filter_by(
        **{name: value for name, value in equal.items() if value is not None}
    )
    if beginning is not None:
        found = found.where(beginning_column.startswith(beginning, autoescape=True))
    if since is not None:
        found = found.where(model.created_at >= since)
    if until is not None:
        found = found.where(model.created_at < until)
    return found
