"""Long lists as CSV files, page by page, so that no list is in memory at once."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from derpman.kit.paging import ExportQuery

T = TypeVar("T")
Q = TypeVar("Q", bound=ExportQuery)
A = TypeVar("A")
PAGE_ROWS = 1000
MAX_PAGES = 200

CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}}}}
"""For the `responses` of a route that answers with a file, or can."""

Fetch = Callable[[int | None, int], tuple[list[T], int | None]]
"""Returns (up to `limit` rows below `before`, the `before` of the next page)."""


def csv_file(name: str, columns: Sequence[str], fetch: Fetch[T]) -> StreamingResponse:
    """Answer with the attributes `columns` of up to 200,000 rows; times are ISO 8601 in UTC.

    The first rows are read here: what goes wrong with a question goes wrong before the answer
    begins, and is told like every other error.
    """
    return StreamingResponse(
        _lines(columns, fetch, *fetch(None, PAGE_ROWS)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def listed(
    query: Q, read: Callable[[Q], A], *, name: str, rows: str, row: type[BaseModel]
) -> A | StreamingResponse:
    """Answer with a page of a list, or, as `format` says, with all that fits as CSV.

    `rows` is where an answer has them; a column for each plain field of `row`.
    """
    if query.format == "json":
        return read(query)

    def fetch(before: int | None, limit: int) -> tuple[list[Any], int | None]:
        answer: Any = read(query.model_copy(update={"before": before, "limit": limit}))
        return getattr(answer, rows), answer.next_before

    return csv_file(name, columns_of(row), fetch)


def columns_of(row: type[BaseModel]) -> list[str]:
    """Return the fields of a row that fit into a cell: no lists, no parts of their own."""
    return [name for name, field in row.model_fields.items() if _fits(field.annotation)]


def _fits(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _fits(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return all(_fits(one) for one in get_args(annotation))
    if origin is not None:
        return False
    return not (isinstance(annotation, type) and issubclass(annotation, BaseModel | dict | list))


def _lines(
    columns: Sequence[str], fetch: Fetch[T], rows: list[T], before: int | None
) -> Iterator[str]:
    yield "\ufeff" + _csv([columns])  # spreadsheets take UTF-8 for granted only with a mark
    for number in range(1, MAX_PAGES + 1):
        yield _csv([_cell(getattr(row, column)) for column in columns] for row in rows)
        if before is None or number == MAX_PAGES:
            return
        rows, before = fetch(before, PAGE_ROWS)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    # Text that begins like this is a formula to a spreadsheet.
    risky = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if risky else str(value)


def _csv(rows: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue()
