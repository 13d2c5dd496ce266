"""Serials as CSV, page by page, so that a long list is never in memory at once."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence

from derpman.serials.models import Serial

COLUMNS = (
    "id",
    "code",
    "duration_days",
    "plan_id",
    "status",
    "created_by",
    "user_id",
    "created_at",
    "expires_at",
    "used_at",
    "note",
)
MAX_PAGES = 200
PAGE_ROWS = 1000

Fetch = Callable[[int | None], tuple[list[Serial], int | None]]
"""Returns a page that begins below an id, and where the next one begins."""


def lines(fetch: Fetch) -> Iterator[str]:
    """Yield the CSV of up to 200,000 serials, newest first; times are UTC."""
    yield "\ufeff" + _csv([COLUMNS])  # spreadsheets take UTF-8 for granted only with a mark
    before: int | None = None
    for _ in range(MAX_PAGES):
        serials, before = fetch(before)
        yield _csv([[_cell(serial, column) for column in COLUMNS] for serial in serials])
        if before is None:
            return


def _cell(serial: Serial, column: str) -> str:
    value = getattr(serial, column)
    if value is None:
        return ""
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    # A note that begins like this is a formula to a spreadsheet.
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _csv(rows: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue()
