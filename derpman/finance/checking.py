"""The ledger checked against itself and against the orders; what differs is an alert."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select

from derpman.alerts import service as alerts
from derpman.alerts.models import Severity
from derpman.finance import ledger
from derpman.finance.models import (
    OWNED,
    Account,
    EntryKind,
    JournalEntry,
    Order,
    OrderKind,
    Transfer,
)
from derpman.finance.states import FULFILLED, OrderStatus
from derpman.kit.work import UnitOfWork

LOOKED_BACK = timedelta(hours=25)
ALERT = "ledger_differs"


def check_accounts(work: UnitOfWork, *, after: int, limit: int) -> tuple[int | None, int]:
    """Compare the kept balances of accounts above an id with their transfers.

    Return the id the next page begins after (None: all are done), and how many differ.
    """
    accounts = work.session.execute(
        select(Account.id, Account.balance_fen, Account.kind, Account.user_id)
        .where(Account.id > after)
        .order_by(Account.id)
        .limit(limit)
    ).all()
    # Ours keep no balance: all that was ever sold goes through them.
    owned = [row for row in accounts if row.kind in OWNED]
    sums = ledger.derived(work, [row.id for row in owned])
    wrong = [row for row in owned if row.balance_fen != sums[row.id]]
    kept: dict[int, int] = {}
    if wrong:  # perhaps by an entry posted between two of our reads: now nothing is
        kept = ledger.lock_accounts(work, [row.id for row in wrong])
        sums = ledger.derived(work, list(kept))
        wrong = [row for row in wrong if kept[row.id] != sums[row.id]]
    for row in wrong:
        report(
            work,
            f"account:{row.id}",
            f"{row.kind} of user {row.user_id}: {kept[row.id]} kept, {sums[row.id]} booked",
        )
    return (accounts[-1].id if len(accounts) == limit else None), len(wrong)


def check_orders(work: UnitOfWork) -> int:
    """Compare what was paid in the last day with its entries; return how many orders differ."""
    since = work.now - LOOKED_BACK
    paid = func.coalesce(func.sum(Transfer.amount_fen), 0)
    is_payment = JournalEntry.kind.in_((EntryKind.ORDER_PAID, EntryKind.TOP_UP))
    rows = work.session.execute(
        select(Order.id, Order.number, Order.amount_fen, paid)
        .outerjoin(JournalEntry, (JournalEntry.order_id == Order.id) & is_payment)
        .outerjoin(Transfer, Transfer.entry_id == JournalEntry.id)
        .where(
            Order.paid_at >= since,
            Order.status.in_((OrderStatus.PAID, *FULFILLED, OrderStatus.REFUNDED)),
        )
        .group_by(Order.id, Order.number, Order.amount_fen)
        .having(paid != Order.amount_fen)
    ).all()
    for _, number, wanted, booked in rows:
        report(work, f"order:{number}", f"order {number}: {wanted} wanted, {booked} is booked")
    stuck = work.session.scalars(
        select(Order.number).where(
            Order.status == OrderStatus.PAID,
            Order.paid_at <= work.now - timedelta(minutes=10),
            Order.kind != OrderKind.TOP_UP,
        )
    ).all()
    for number in stuck:
        alerts.raise_alert(
            work,
            alert_type="order_stuck",
            severity=Severity.WARNING,
            object_key=number,
            params={"order": number},
        )
    return len(rows)


def report(work: UnitOfWork, key: str, what: str) -> None:
    """Raise the alert that two figures of money differ."""
    alerts.raise_alert(
        work,
        alert_type=ALERT,
        severity=Severity.CRITICAL,
        object_key=key,
        params={"what": what},
    )
