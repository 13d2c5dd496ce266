"""Customers of another system, brought in from a CSV file: a row, a customer, a transaction."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

from derpman.access.events import PasswordForgotten
from derpman.finance import service as finance
from derpman.kit.errors import Invalid
from derpman.kit.work import Role, UnitOfWork
from derpman.rentals import renewals
from derpman.rentals import service as rentals
from derpman.users import service as users

COLUMNS = ("username", "email", "language", "until", "plan_days")
NEEDED = ("username", "email")
MOST_ROWS = 100_000
BEIJING = timezone(timedelta(hours=8))
NO_PASSWORD = "!"  # noqa: S105 # no hash: nobody logs in with it
REASON = "imported"


class ImportRefused(Invalid):
    """The file, or a row of it, cannot be taken as it is."""

    code = "import.refused"
    text = "This cannot be imported: {why}."


class Row(NamedTuple):
    """A customer as the file has him; `until` is the last day he is served."""

    number: int
    username: str
    email: str
    language: str
    until: datetime | None
    plan_days: int


@dataclass(frozen=True)
class Imported:
    """What became of a row."""

    user_id: int
    is_new: bool
    is_served: bool
    """He has a rental since this."""


def rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file in UTF-8, with or without a mark; ImportRefused names what is wrong.

    Columns may come in any order; `language`, `until` (YYYY-MM-DD, in Beijing) and `plan_days`
    may be missing or empty.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        names = table.fieldnames or []
        if missing := [name for name in NEEDED if name not in names]:
            raise ImportRefused(why=f"the first line lacks {', '.join(missing)}")
        if unknown := [name for name in names if name not in COLUMNS]:
            known = ", ".join(COLUMNS)
            raise ImportRefused(why=f"unknown columns {', '.join(unknown)}; known are {known}")
        for number, cells in enumerate(table, start=2):
            if number > MOST_ROWS + 1:
                raise ImportRefused(why=f"there are more than {MOST_ROWS} rows")
            yield _row(number, {key: (value or "").strip() for key, value in cells.items() if key})


def _row(number: int, cells: dict[str, str]) -> Row:
    days = cells.get("plan_days", "") or "30"
    if not days.isdigit():
        raise ImportRefused(why=f"row {number}: plan_days is a number of days, not “{days}”")
    until = None
    if text := cells.get("until", ""):
        try:
            day = datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 # a day
        except ValueError:
            raise ImportRefused(why=f"row {number}: until is YYYY-MM-DD, not “{text}”") from None
        until = datetime.combine(day + timedelta(days=1), time(), BEIJING)
    return Row(
        number,
        cells["username"],
        cells["email"],
        cells.get("language", "") or "zh-CN",
        until,
        int(days),
    )


def take(work: UnitOfWork, *, row: Row, invite: bool) -> Imported:
    """Open the account of a row unless it is there, and serve him until the day it names.

    The same row may come again: an address that has an account keeps it as it is, a customer who
    is served is not served longer. `invite` mails who is new a code with which he sets a password.
    """
    user = users.by_email(work, email=row.email)
    is_new = user is None
    if user is None:
        user = users.create(
            work,
            username=row.username,
            email=row.email,
            password_hash=NO_PASSWORD,
            role=Role.USER,
            locale=row.language,
        )
        if invite:
            work.emit(PasswordForgotten(user_id=user.id))
    is_served = False
    if row.until is not None and rentals.open_rental(work, user.id) is None:
        if row.until <= work.now:
            raise ImportRefused(why=f"row {row.number}: {row.until:%Y-%m-%d} is over")
        renewals.renew_to(
            work,
            user_id=user.id,
            until=row.until,
            reason=REASON,
            plan_id=finance.plan_of_days(work, row.plan_days).id,
        )
        is_served = True
    return Imported(user.id, is_new, is_served)


class Looked(Exception):  # no error: what would be done, when all of it is undone
    """What `take` would do."""

    def __init__(self, done: Imported) -> None:
        super().__init__()
        self.done = done


def look(work: UnitOfWork, *, row: Row) -> None:
    """Do what `take` does and raise Looked, which undoes it."""
    raise Looked(take(work, row=row, invite=False))
