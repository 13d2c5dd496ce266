"""Lists of accounts, and what one was at a time."""

from __future__ import annotations

import json
import unicodedata
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from derpman.kit.paging import page
from derpman.kit.work import Role, UnitOfWork
from derpman.logs import queries as logs
from derpman.users.models import User
from derpman.users.states import UserStatus

NAMES = (User.username_key, User.email_key, User.former_email_key)
SORTS = {"username": User.username_key, "rental_expiry": User.rental_expiry}


def users_page(
    work: UnitOfWork,
    *,
    search: str | None,
    role: Role | None,
    status: UserStatus | None,
    manager_id: int | None = None,
    sort: str | None = None,
    before: int | None,
    limit: int,
) -> tuple[list[User], int | None]:
    """Return accounts, the newest first or in the order `sort` of `SORTS`.

    `search` is the beginning of a username or address; what it finds is in the order of usernames,
    then of addresses, unless it is sorted: an index has the first page at once, however many begin
    so.
    """
    found = select(User)
    start = None if search is None else unicodedata.normalize("NFKC", search).casefold()
    if start is not None and sort is not None:
        found = found.where(or_(*(_begins(column, start) for column in NAMES)))
    if role is not None:
        found = found.where(User.role == role)
    if status is not None:
        found = found.where(User.status == status)
    if manager_id is not None:
        found = found.where(User.manager_id == manager_id)
    if start is not None and sort is None:
        return _named(work, found, start, before, limit)
    return page(work.session, found, User.id, before, limit, sort, SORTS)


def _begins(column: InstrumentedAttribute[Any], start: str) -> ColumnElement[bool]:
    return column.startswith(start, autoescape=True)


def _named(
    work: UnitOfWork, found: Select[User], start: str, before: int | None, limit: int
) -> tuple[list[User], int | None]:
    """Return those whose username begins so, then those whose address does, each along its index.

    Where the account with the id `before` stands is looked up.
    """
    last = None
    if before is not None:
        keys = work.session.execute(select(*NAMES).where(User.id == before))
        last = keys.mappings().one_or_none()
        if last is None:
            return [], None
    rows: list[User] = []
    for number, column in enumerate(NAMES):
        wanted = found.where(_begins(column, start))
        for earlier in NAMES[:number]:
            wanted = wanted.where(or_(earlier.is_(None), ~_begins(earlier, start)))
        if last is not None:
            ended: str | None = last[column.key]
            if ended is None or not ended.startswith(start):
                continue
            wanted = wanted.where(or_(column > ended, and_(column == ended, User.id > before)))
            last = None
        ordered = wanted.order_by(column, User.id).limit(limit + 1 - len(rows))
        rows += work.session.scalars(ordered)
        if len(rows) > limit:
            return rows[:limit], rows[limit - 1].id
    return rows, None


def counts(work: UnitOfWork) -> list[tuple[Role, UserStatus, int]]:
    """Return how many accounts there are of each role and state."""
    rows = work.session.execute(
        select(User.role, User.status, func.count())
        .group_by(User.role, User.status)
        .order_by(User.role, User.status)
    )
    return [(role, status, count) for role, status, count in rows]


def role_at(work: UnitOfWork, *, user_id: int, at: datetime) -> Role:
    """Return the role an account had then, by the operation log of what it became since."""
    changed = logs.first_since(
        work, action="user.role", object_type="user", object_id=user_id, since=at
    )
    if changed is None or changed.before is None:
        return work.session.get_one(User, user_id).role
    return Role(json.loads(changed.before)["role"])
