"""Selects behind lists and exports of serials."""

from __future__ import annotations

from typing import Any

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
    order_id: int | None = None,
    distributor_id: int | None = None,
) -> Select[Serial]:
    found = select(Serial)
    if code:
        symbols = codes.symbols_of(code)
        found = found.where(
            Serial.code.startswith(codes.grouped(symbols))
            if codes.could_begin_with(symbols)
            else false()
        )
    for column, value in (
        (Serial.status, status),
        (Serial.plan_id, plan_id),
        (Serial.user_id, user_id),
        (Serial.created_by, created_by),
        (Serial.order_id, order_id),
        (Serial.distributor_id, distributor_id),
    ):
        if value is not None:
            found = found.where(column == value)
    return found


def serials(
    work: UnitOfWork,
    *,
    before: int | None = None,
    limit: int,
    sort: str | None = None,
    **filters: Any,
) -> tuple[list[Serial], int | None]:
    """Return a page of serials, newest first; `code` is how a code begins, however it is typed.

    The others of `filters` are values of columns: status, plan_id, user_id, created_by, order_id,
    distributor_id.
    """
    return page(work.session, _found(**filters), Serial.id, before, limit, sort)


def codes_of_order(work: UnitOfWork, *, order_id: int, limit: int) -> list[str]:
    """Return the codes that a purchase brought."""
    found = select(Serial.code).where(Serial.order_id == order_id).order_by(Serial.id)
    return list(work.session.scalars(found.limit(limit)))
