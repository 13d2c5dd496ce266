"""What the owner looks at: received, sold, earned and owed, by day, plan and distributor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import func, select

from derpman.finance import ledger
from derpman.finance.errors import SpanRefused
from derpman.finance.models import FinanceDay, Plan
from derpman.finance.rollups import NAMES
from derpman.kit.work import UnitOfWork
from derpman.users import service as users

MOST_DAYS = 1100
"""Three years: how many days somebody may ask for at once."""
SUMS: tuple[Any, ...] = tuple(
    func.coalesce(func.sum(getattr(FinanceDay, name)), 0).label(name) for name in NAMES
)


@dataclass(frozen=True)
class Line:
    """Sums of a day, a plan, a distributor or a span, in fen; `key` says of which."""

    key: str
    id: int
    name: str
    orders: int
    sold_fen: int
    discount_fen: int
    received_fen: int
    refunded_fen: int
    earned_fen: int
    commission_fen: int
    cash_fen: int
    bonus_fen: int
    deferred_fen: int


@dataclass(frozen=True)
class Statistics:
    """Everything on one page, read with five statements."""

    first: date
    last: date
    total: Line
    month: Line
    span: Line
    by_plan: Sequence[Line]


@dataclass(frozen=True)
class Recent:
    """How it goes: today beside the same day a week ago, seven days beside the seven before."""

    today: Line
    week_ago: Line
    week: Line
    week_before: Line


def recent(work: UnitOfWork) -> Recent:
    """Return the sums of today and of the last two weeks, read with one statement."""
    last = ledger.day_of(work.now)
    lines = by_day(work, first=last - timedelta(days=13), last=last)
    return Recent(
        today=lines[13],
        week_ago=lines[6],
        week=_together("week", lines[7:]),
        week_before=_together("week", lines[:7]),
    )


def _together(key: str, lines: Sequence[Line]) -> Line:
    return Line(key, 0, "", **{name: sum(getattr(one, name) for one in lines) for name in NAMES})


def span(work: UnitOfWork, *, first: date | None, last: date | None) -> tuple[date, date]:
    """Return the first and the last day that are meant: without them, this month until today."""
    today = ledger.day_of(work.now)
    first, last = first or today.replace(day=1), last or today
    if not 0 <= (last - first).days < MOST_DAYS:
        raise SpanRefused(most=MOST_DAYS)
    return first, last


def overview(work: UnitOfWork, *, first: date | None, last: date | None) -> Statistics:
    """Return the sums of all time, of this month, and of a span (this month when left out)."""
    month = ledger.day_of(work.now).replace(day=1)
    first, last = span(work, first=first, last=last)
    of_month = _one(work, "month", select(*SUMS).where(FinanceDay.day >= month))
    return Statistics(
        first=first,
        last=last,
        total=_one(work, "total", select(*SUMS)),
        month=of_month,
        span=_one(work, "span", select(*SUMS).where(FinanceDay.day.between(first, last))),
        by_plan=by_plan(work, first=first, last=last),
    )


def _one(work: UnitOfWork, key: str, sums: Any) -> Line:
    return _line(key, 0, "", work.session.execute(sums).one())


def _line(key: str, number: int, name: str, row: Any) -> Line:
    return Line(key, number, name, **{one: int(getattr(row, one)) for one in NAMES})


def by_day(work: UnitOfWork, *, first: date, last: date) -> list[Line]:
    """Return each day's sums, also of days on which nothing happened."""
    rows = {
        row.day: row
        for row in work.session.execute(
            select(FinanceDay.day, *SUMS)
            .where(FinanceDay.day.between(first, last))
            .group_by(FinanceDay.day)
        )
    }
    nothing = Line("", 0, "", **dict.fromkeys(NAMES, 0))
    days = (date.fromordinal(day) for day in range(first.toordinal(), last.toordinal() + 1))
    return [_line(str(day), 0, "", rows.get(day, nothing)) for day in days]


def by_plan(work: UnitOfWork, *, first: date, last: date) -> list[Line]:
    """Return each plan's sums; what belongs to none (money for wallets) is plan 0."""
    rows = work.session.execute(
        select(FinanceDay.plan_id, Plan.name, *SUMS)
        .outerjoin(Plan, Plan.id == FinanceDay.plan_id)
        .where(FinanceDay.day.between(first, last))
        .group_by(FinanceDay.plan_id, Plan.name)
        .order_by(FinanceDay.plan_id)
    )
    return [_line("plan", row.plan_id, row.name or "", row) for row in rows]


def by_distributor(
    work: UnitOfWork, *, first: date, last: date, distributor_id: int | None = None
) -> list[Line]:
    """Return each distributor's sums; those of sales without one are left out."""
    found = (
        select(FinanceDay.distributor_id, *SUMS)
        .where(FinanceDay.day.between(first, last), FinanceDay.distributor_id != 0)
        .group_by(FinanceDay.distributor_id)
        .order_by(FinanceDay.distributor_id)
    )
    if distributor_id is not None:
        found = found.where(FinanceDay.distributor_id == distributor_id)
    rows = work.session.execute(found).all()
    names = users.names_of(work, user_ids=[row.distributor_id for row in rows])
    return [
        _line("distributor", row.distributor_id, names.get(row.distributor_id, ""), row)
        for row in rows
    ]
