"""Selects behind lists and exports of serials."""

from __future__ import annotations

from sqlalchemy import Select, false, select

from derpman.kit.paging import page
from derpman.kit.work import UnitOfWork
from derpman.serials import codes
from derpman.serials.models import Serial
from derpman.serials.states import SerialStatus


def _found(
    *,
    code: str | None = None,
    status: SerialStatus | None = None,
    plan_id: int | None = None,
    user_id: int | None = None,
    created_by: int | None = None,
) -> Select[Serial]:
    found = select(Serial)
    if code:
        symbols = codes.symbols_of(code)
        found = found.where(
            Serial.code.startswith(codes.grouped(symbols))
            if codes.could_begin_with(symbols)
            else false()
        )
    if status is not None:
        found = found.where(Serial.status == status)
    if plan_id is not None:
        found = found.where(Serial.plan_id == plan_id)
    if user_id is not None:
        found = found.where(Serial.user_id == user_id)
    if created_by is not None:
        found = found.where(Serial.created_by == created_by)
    return found


def serials(
    work: UnitOfWork,
    *,
    code: str | None = None,
    status: SerialStatus | None = None,
    plan_id: int | None = None,
    user_id: int | None = None,
    created_by: int | None = None,
    before: int | None = None,
    limit: int,
) -> tuple[list[Serial], int | None]:
    """Return a page of serials, newest first; `code` is how a code begins, however it is typed."""
    found = _found(
        code=code, status=status, plan_id=plan_id, user_id=user_id, created_by=created_by
    )
    return page(work.session, found, Serial.id, before, limit)
