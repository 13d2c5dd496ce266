"""What was paid is earned by the day: a 360-day rental is not the revenue of its first one.

A part of `n` days earns `floor(amount × (k+1) / n) − floor(amount × k / n)` on its day `k`, so
that its days add up to its amount, to the fen. A day is booked when it is over.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import ColumnElement, func, select

from derpman.finance import ledger
from derpman.finance.ledger import DEFERRED, REFUNDS, REVENUE, Holder, Move
from derpman.finance.models import Earning, EntryKind, FinanceMark, Order
from derpman.kit.work import UnitOfWork

MARK = "earned"
MAX_DAYS = 400
"""How many days are caught up with in one transaction."""


def begin(work: UnitOfWork, *, order: Order, amount_fen: int, days: int) -> None:
    """Earn an amount over the days from today on."""
    if amount_fen > 0:
        _add(work, order, amount_fen, ledger.day_of(work.now).toordinal(), max(1, days))


def _add(work: UnitOfWork, order: Order, amount_fen: int, first_day: int, days: int) -> None:
    work.session.add(
        Earning(
            order_id=order.id,
            plan_id=order.plan_id,
            distributor_id=order.distributor_id,
            amount_fen=amount_fen,
            first_day=first_day,
            days=days,
            last_day=first_day + days - 1,
        )
    )


def give_back(
    work: UnitOfWork, *, order: Order, fen: int, to: list[tuple[Holder, int]]
) -> list[Move]:
    """Return the moves that give `fen` of an order back: first what is not earned yet.

    The days that are left earn what remains. `to` says who gets how much; together it is `fen`.
    """
    today = ledger.day_of(work.now).toordinal()
    left = fen
    sources: list[tuple[Holder, int]] = []
    parts = work.session.scalars(
        select(Earning)
        .where(Earning.order_id == order.id, Earning.last_day >= today)
        .order_by(Earning.id)
    ).all()
    for part in parts:
        passed = max(0, today - part.first_day)
        unearned = part.amount_fen - part.amount_fen * passed // part.days
        taken = min(left, unearned)
        if taken == 0:
            continue
        part.last_day = part.first_day + passed - 1
        if unearned > taken:
            _add(work, order, unearned - taken, part.first_day + passed, part.days - passed)
        left -= taken
    if fen > left:
        sources.append((DEFERRED, fen - left))
    if left:
        sources.append((REFUNDS, left))
    return _moves(sources, to)


def _moves(sources: list[tuple[Holder, int]], to: list[tuple[Holder, int]]) -> list[Move]:
    """Pair what is taken with who gets it."""
    moves: list[Move] = []
    waiting = [[holder, fen] for holder, fen in to if fen]
    for source, amount in sources:
        rest = amount
        while rest:
            holder, wanted = waiting[0]
            assert isinstance(holder, Holder) and isinstance(wanted, int)  # noqa: PT018
            moved = min(rest, wanted)
            moves.append(Move(source, holder, moved))
            rest -= moved
            if moved == wanted:
                waiting.pop(0)
            else:
                waiting[0][1] = wanted - moved
    return moves


def book_days(work: UnitOfWork) -> int:
    """Book the days that are over and not booked yet; return how many."""
    yesterday = ledger.day_of(work.now).toordinal() - 1
    mark = work.session.get(FinanceMark, MARK, with_for_update=True)
    if mark is None:
        first = work.session.scalar(select(func.min(Earning.first_day)))
        if first is None:
            return 0
        mark = FinanceMark(name=MARK, value=first - 1)
        work.session.add(mark)
    days = range(mark.value + 1, min(yesterday, mark.value + MAX_DAYS) + 1)
    for day in days:
        _book(work, day)
        mark.value = day
    return len(days)


def _book(work: UnitOfWork, day: int) -> None:
    rows = work.session.execute(
        select(Earning.plan_id, Earning.distributor_id, func.sum(_share(day)))
        .where(Earning.first_day <= day, Earning.last_day >= day)
        .group_by(Earning.plan_id, Earning.distributor_id)
        .order_by(Earning.plan_id, Earning.distributor_id)
    ).all()
    for plan_id, distributor_id, total in rows:
        if int(total):
            ledger.post(
                work,
                kind=EntryKind.EARNED,
                key=f"earned:{date.fromordinal(day)}:{plan_id or 0}:{distributor_id or 0}",
                moves=[Move(DEFERRED, REVENUE, int(total))],
                plan_id=plan_id,
                distributor_id=distributor_id,
                note=str(date.fromordinal(day)),
            )


def _share(day: int) -> ColumnElement[int]:
    """Return what a part earns on a day."""
    passed = day - Earning.first_day

    def floor(product: ColumnElement[int]) -> ColumnElement[int]:
        # A whole number divided by a divisor of it: exact, also where division gives decimals.
        return (product - product % Earning.days) // Earning.days

    return floor(Earning.amount_fen * (passed + 1)) - floor(Earning.amount_fen * passed)


def earned_until(order_earnings: list[Earning], day: date) -> int:
    """Return what parts have earned before a day, by the same rule: what the books must say."""
    total = 0
    for part in order_earnings:
        passed = max(0, min(day.toordinal(), part.last_day + 1) - part.first_day)
        total += part.amount_fen * passed // part.days
    return total
