"""Pages of long lists by key, so that no page counts or skips rows."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from derpman.kit.types import MAX_ID

T = TypeVar("T")
DEFAULT_LIMIT = 20
MAX_LIMIT = 200


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


def page(
    session: Session,
    select: Select[T],
    key: InstrumentedAttribute[int],
    before: int | None,
    limit: int,
) -> tuple[list[T], int | None]:
    """Return up to `limit` rows below `before`, newest first, and the `before` of the next page."""
    if before is not None:
        select = select.where(key < before)
    rows = list(session.scalars(select.order_by(key.desc()).limit(limit + 1)))
    if len(rows) <= limit:
        return rows, None
    rows = rows[:limit]
    return rows, getattr(rows[-1], key.key)
