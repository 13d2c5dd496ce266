"""Pages of long lists by key, so that no page counts or skips rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Select, and_, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from derpman.kit.types import MAX_ID

T = TypeVar("T")
DEFAULT_LIMIT = 20
MAX_LIMIT = 200
NONE: Final[Mapping[str, InstrumentedAttribute[Any]]] = {}


class PageQuery(BaseModel):
    """`before` is the id that the last page ended with: newest rows come first."""

    model_config = ConfigDict(extra="forbid")
    before: Annotated[int | None, Field(ge=1, le=MAX_ID)] = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT


class ExportQuery(PageQuery):
    """A list that can be taken along whole, as CSV."""

    format: Literal["json", "csv"] = "json"

    def asked(self) -> dict[str, Any]:
        """Return what is asked for, without how it is shown."""
        return self.model_dump(exclude={"format"})


class SortedQuery(PageQuery):
    """A list that can be read from either end; `-time`, the newest first, is what is usual."""

    sort: Literal["time", "-time"] | None = None


class TimedQuery(ExportQuery, SortedQuery):
    """A list that can be taken along whole, from either end."""


@dataclass(frozen=True)
class _Order:
    """By which column a list is sorted; rows without a value come last."""

    column: InstrumentedAttribute[Any]
    is_descending: bool


def page(
    session: Session,
    found: Select[T],
    key: InstrumentedAttribute[int],
    before: int | None,
    limit: int,
    sort: str | None = None,
    columns: Mapping[str, InstrumentedAttribute[Any]] = NONE,
) -> tuple[list[T], int | None]:
    """Return up to `limit` rows after the one with the id `before`, and the `before` that follows.

    Newest first, or as `sort` says: by `time` or one of `columns`, `-name` for the greatest first.
    `before` is an id in any order: where its row stands is looked up.
    """
    name = (sort or "-time").removeprefix("-")
    if name == "time":
        is_down = sort != "time"
        if before is not None:
            found = found.where(key < before if is_down else key > before)
        rows = list(
            session.scalars(found.order_by(key.desc() if is_down else key).limit(limit + 1))
        )
    else:
        order = _Order(columns[name], is_descending=sort != name)
        rows = _ordered(session, found, key, before, limit + 1, order)
    if len(rows) <= limit:
        return rows, None
    rows = rows[:limit]
    return rows, getattr(rows[-1], key.key)


def _ordered(
    session: Session,
    found: Select[T],
    key: InstrumentedAttribute[int],
    before: int | None,
    count: int,
    order: _Order,
) -> list[T]:
    """Return rows in an order: those with a value along its index, then the newest without one.

    Databases differ in where they put rows without a value, and none takes an index for both.
    """
    column, is_down = order.column, order.is_descending
    last = None if before is None else session.scalar(select(column).where(key == before))
    rows: list[T] = []
    if before is None or last is not None:
        valued = found.where(column.is_not(None))
        if last is not None:
            further = column < last if is_down else column > last
            beside = key < before if is_down else key > before
            valued = valued.where(or_(further, and_(column == last, beside)))
        by = (column.desc(), key.desc()) if is_down else (column.asc(), key.asc())
        rows = list(session.scalars(valued.order_by(*by).limit(count)))
    if len(rows) < count:
        bare = found.where(column.is_(None))
        if before is not None and last is None:
            bare = bare.where(key < before)
        rows += session.scalars(bare.order_by(key.desc()).limit(count - len(rows)))
    return rows
