"""Selects behind the lists of links and pushes."""

from __future__ import annotations

from sqlalchemy import select

from derpman.kit.paging import page
from derpman.kit.work import UnitOfWork
from derpman.tailnets.models import AclPush, TailnetLink
from derpman.tailnets.states import LinkStatus


def pushes(
    work: UnitOfWork, *, user_id: int, before: int | None, limit: int
) -> tuple[list[AclPush], int | None]:
    """Return a customer's pushes without their texts, newest first."""
    found = select(AclPush).where(AclPush.user_id == user_id)
    return page(work.session, found, AclPush.id, before, limit)


def links(
    work: UnitOfWork,
    *,
    status: LinkStatus | None,
    before: int | None,
    limit: int,
    sort: str | None = None,
) -> tuple[list[TailnetLink], int | None]:
    """Return everybody's links, newest first."""
    found = select(TailnetLink)
    if status is not None:
        found = found.where(TailnetLink.status == status)
    return page(work.session, found, TailnetLink.id, before, limit, sort)
