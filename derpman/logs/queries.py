"""Selects behind the lists of logs: newest first, by key."""

from __future__ import annotations

from collections.abc import Sequence
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
    work: UnitOfWork, *, before: int | None, limit: int, sort: str | None = None, **asked: Any
) -> Page[SystemLog]:
    """Return the operation log."""
    text = (SystemLog.actor_name, SystemLog.action, SystemLog.before, SystemLog.after)
    found = _matching(SystemLog, SystemLog.action, text, **asked)
    return page(work.session, found, SystemLog.id, before, limit, sort)


def first_since(
    work: UnitOfWork, *, action: str, object_type: str, object_id: int, since: datetime
) -> SystemLog | None:
    """Return the first time that something was done to an object after a moment."""
    return work.session.scalar(
        select(SystemLog)
        .where(
            SystemLog.object_type == object_type,
            SystemLog.object_id == object_id,
            SystemLog.action == action,
            SystemLog.created_at > since,
        )
        .order_by(SystemLog.id)
        .limit(1)
    )


def user_logs(
    work: UnitOfWork, *, before: int | None, limit: int, sort: str | None = None, **asked: Any
) -> Page[UserLog]:
    """Return what users did with their accounts."""
    text = (UserLog.action, UserLog.detail, UserLog.location, UserLog.browser)
    found = _matching(UserLog, UserLog.action, text, **asked)
    return page(work.session, found, UserLog.id, before, limit, sort)


def history(
    work: UnitOfWork, *, before: int | None, limit: int, sort: str | None = None, **asked: Any
) -> Page[UserHistory]:
    """Return the history of use, also of accounts that are closed."""
    text = (UserHistory.kind, UserHistory.detail)
    found = _matching(UserHistory, UserHistory.kind, text, **asked)
    return page(work.session, found, UserHistory.id, before, limit, sort)


def server_logs(
    work: UnitOfWork, *, before: int | None, limit: int, sort: str | None = None, **asked: Any
) -> Page[ServerLog]:
    """Return what was done on servers."""
    text = (ServerLog.actor_name, ServerLog.action, ServerLog.detail)
    found = _matching(ServerLog, ServerLog.action, text, **asked)
    return page(work.session, found, ServerLog.id, before, limit, sort)


def _matching(
    model: type[Log],
    word: InstrumentedAttribute[str],
    text: Sequence[InstrumentedAttribute[Any]],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    search: str | None = None,
    **equal: Any,
) -> Select[Log]:
    """Select rows whose `word` begins as asked for and one of whose `text` columns has `search`."""
    beginning = equal.pop(word.key, None)
    found = select(model).filter_by(
        **{name: value for name, value in equal.items() if value is not None}
    )
    if beginning is not None:
        found = found.where(word.startswith(beginning, autoescape=True))
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
