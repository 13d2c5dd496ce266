"""A day's sums: made from the ledger, and made anew from it at will."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from sqlalchemy import case, delete, func, select
from sqlalchemy.orm import aliased

from derpman.finance import ledger
from derpman.finance.models import (
    RECEIVING,
    Account,
    AccountKind,
    EntryKind,
    FinanceDay,
    FinanceMark,
    JournalEntry,
    Order,
    Transfer,
)
from derpman.kit.work import UnitOfWork

MARK = "rolled_up"
SETTLED_AFTER = timedelta(minutes=2)
WALLETS = (AccountKind.CASH, AccountKind.BONUS)
FROM_THE_DAY = "STRAIGHT_JOIN"
"""Few accounts tempt the optimizer to begin with them, and so to read every transfer there is."""
GIVING_BACK = (EntryKind.REFUND, EntryKind.GIVEN_BACK)
Sums = dict[tuple[int, int], dict[str, int]]


def refresh(work: UnitOfWork) -> bool:
    """Bring the sums of today and of days since the last time up to date; False: nothing is new."""
    newest = work.session.scalar(select(func.max(JournalEntry.id))) or 0
    mark = work.session.get(FinanceMark, MARK, with_for_update=True)
    if mark is None:
        mark = FinanceMark(name=MARK, value=0)
        work.session.add(mark)
    elif mark.value == newest and not _is_fresh(work, newest):
        return False
    since = work.session.scalar(
        select(func.min(JournalEntry.booked_on)).where(JournalEntry.id > mark.value)
    )
    today = ledger.day_of(work.now)
    # An entry of yesterday may be committed a moment after the first one of today.
    first = min(since or today, today) - timedelta(days=1)
    for day in days_between(first, today):
        rebuild(work, day=day)
    mark.value = newest
    return True


def _is_fresh(work: UnitOfWork, entry_id: int) -> bool:
    """Tell whether an entry is so new that one before it may not be committed yet."""
    entry = work.session.get(JournalEntry, entry_id)
    return entry is not None and entry.created_at > work.now - SETTLED_AFTER


def days_between(first: date, last: date) -> Iterable[date]:
    """Return the days from one to another, both included."""
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def rebuild(work: UnitOfWork, *, day: date) -> None:
    """Make a day's sums anew from the ledger."""
    sums = of_ledger(work, day)
    work.session.execute(delete(FinanceDay).where(FinanceDay.day == day))
    work.session.add_all(
        FinanceDay(day=day, plan_id=plan_id, distributor_id=distributor_id, **values)
        for (plan_id, distributor_id), values in sums.items()
    )
    work.session.flush()


NAMES = (
    "orders",
    "sold_fen",
    "discount_fen",
    "received_fen",
    "refunded_fen",
    "earned_fen",
    "commission_fen",
    "cash_fen",
    "bonus_fen",
    "deferred_fen",
)


def of_ledger(work: UnitOfWork, day: date) -> Sums:
    """Return what a day's entries say, by plan and distributor (0: none)."""
    sums: Sums = {}
    for row in work.session.execute(_moved(day)):
        _add(sums, row, {name: int(getattr(row, name) or 0) for name in NAMES[3:]})
    for row in work.session.execute(_sold(day)):
        _add(sums, row, {name: int(getattr(row, name) or 0) for name in NAMES[:3]})
    return {key: values for key, values in sums.items() if any(values.values())}


def _add(sums: Sums, row: Any, values: dict[str, int]) -> None:
    kept = sums.setdefault((row.plan_id or 0, row.distributor_id or 0), dict.fromkeys(NAMES, 0))
    for name, value in values.items():
        kept[name] += value


def _moved(day: date) -> Any:
    debit, credit = aliased(Account), aliased(Account)

    def gained(*kinds: AccountKind) -> Any:
        return func.sum(
            case((credit.kind.in_(kinds), Transfer.amount_fen), else_=0)
            - case((debit.kind.in_(kinds), Transfer.amount_fen), else_=0)
        )

    is_given_back = JournalEntry.kind.in_(GIVING_BACK) & credit.kind.in_(WALLETS)
    return (
        select(
            JournalEntry.plan_id,
            JournalEntry.distributor_id,
            (-gained(*RECEIVING)).label("received_fen"),
            func.sum(case((is_given_back, Transfer.amount_fen), else_=0)).label("refunded_fen"),
            gained(AccountKind.REVENUE).label("earned_fen"),
            (-gained(AccountKind.COMMISSION)).label("commission_fen"),
            gained(AccountKind.CASH).label("cash_fen"),
            gained(AccountKind.BONUS).label("bonus_fen"),
            gained(AccountKind.DEFERRED).label("deferred_fen"),
        )
        .join(Transfer, Transfer.entry_id == JournalEntry.id)
        .join(debit, debit.id == Transfer.debit_id)
        .join(credit, credit.id == Transfer.credit_id)
        .where(JournalEntry.booked_on == day)
        .group_by(JournalEntry.plan_id, JournalEntry.distributor_id)
        .prefix_with(FROM_THE_DAY, dialect="mysql")
    )


def _sold(day: date) -> Any:
    return (
        select(
            JournalEntry.plan_id,
            JournalEntry.distributor_id,
            func.sum(Order.quantity).label("orders"),
            func.sum(Order.amount_fen).label("sold_fen"),
            func.sum(Order.list_fen - Order.amount_fen).label("discount_fen"),
        )
        .join(Order, Order.id == JournalEntry.order_id)
        .where(JournalEntry.booked_on == day, JournalEntry.kind == EntryKind.ORDER_PAID)
        .group_by(JournalEntry.plan_id, JournalEntry.distributor_id)
        .prefix_with(FROM_THE_DAY, dialect="mysql")
    )
