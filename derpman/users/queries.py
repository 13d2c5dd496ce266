"""Lists of accounts."""

from __future__ import annotations

import unicodedata

from sqlalchemy import func, or_, select

from derpman.kit.paging import page
from derpman.kit.work import Role, UnitOfWork
from derpman.users.models import User
from derpman.users.states import UserStatus

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

    `search` is the beginning of a username or address.
    """
    found = select(User)
    if search is not None:
        start = unicodedata.normalize("NFKC", search).casefold()
        found = found.where(
            or_(
                User.username_key.startswith(start, autoescape=True),
                User.email_key.startswith(start, autoescape=True),
                User.former_email_key.startswith(start, autoescape=True),
            )
        )
    if role is not None:
        found = found.where(User.role == role)
    if status is not None:
        found = found.where(User.status == status)
    if manager_id is not None:
        found = found.where(User.manager_id == manager_id)
    return page(work.session, found, User.id, before, limit, sort, SORTS)


def counts(work: UnitOfWork) -> list[tuple[Role, UserStatus, int]]:
    """Return how many accounts there are of each role and state."""
    rows = work.session.execute(
        select(User.role, User.status, func.count())
        .group_by(User.role, User.status)
        .order_by(User.role, User.status)
    )
    return [(role, status, count) for role, status, count in rows]
