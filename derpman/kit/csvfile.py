"""Long lists as CSV files, page by page, so that no list is in memory at once."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

from fastapi.responses import StreamingResponse

T = TypeVar("T")
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
