"""A distributor's purchase of serials: an order at a discount, which his credit can pay too.

What the discount is, and how far his credit goes, `distribution` knows.
"""

from __future__ import annotations

from datetime import timedelta

from derpman.finance import ledger, orders
from derpman.finance.errors import CreditUsedUp, KeyUsed, NotOwed, OrderNotPayable
from derpman.finance.ledger import DEFERRED, Move
from derpman.finance.models import EntryKind, JournalEntry, Method, Order, OrderKind
from derpman.finance.states import OrderStatus
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.users import service as users

APPROVED_WAITS = timedelta(days=7)
"""How long a purchase that was approved waits for its money."""


def known(
    work: UnitOfWork, *, user_id: int, plan_id: int, quantity: int, request_key: str
) -> Order | None:
    """Return the purchase that a key stands for; KeyUsed when it stands for something else."""
    found = orders.by_key(work, user_id=user_id, request_key=request_key)
    if found is None:
        return None
    if (found.kind, found.plan_id, found.quantity) != (OrderKind.SERIALS, plan_id, quantity):
        raise KeyUsed
    return found


def place(
    work: UnitOfWork,
    *,
    user_id: int,
    plan_id: int,
    duration_days: int,
    quantity: int,
    list_fen: int,
    amount_fen: int,
    request_key: str,
    method: Method | None,
) -> Order:
    """Order serials for a distributor whom the caller has locked, by a key that is not `known`.

    Without a way of paying the order waits for one.
    """
    orders.refuse_too_many(work, user_id)
    order = orders.create(
        work,
        user_id=user_id,
        request_key=request_key,
        kind=OrderKind.SERIALS,
        plan_id=plan_id,
        duration_days=duration_days,
        quantity=quantity,
        list_fen=list_fen,
        amount_fen=amount_fen,
        method=method or Method.WALLET,
        distributor_id=user_id,
    )
    if method is None:
        order.closes_at = work.now + APPROVED_WAITS
        work.session.flush()
    elif method is not Method.CREDIT:  # which the caller sees to: only he knows the limit
        orders.begin(work, order, method)
    return order


def pay_by_credit(work: UnitOfWork, *, order: Order, limit_fen: int) -> None:
    """Pay a pending purchase by credit; CreditUsedUp when that would pass the limit."""
    if order.status is not OrderStatus.PENDING or order.kind is not OrderKind.SERIALS:
        raise OrderNotPayable(state=order.status)
    free = limit_fen + ledger.balance(work, ledger.credit(order.user_id))
    if order.amount_fen > free:
        raise CreditUsedUp(free_fen=max(0, free))
    order.method = Method.CREDIT
    if order.amount_fen:
        ledger.post(
            work,
            kind=EntryKind.ORDER_PAID,
            key=f"order:{order.id}",
            moves=[Move(ledger.credit(order.user_id), DEFERRED, order.amount_fen)],
            user_id=order.user_id,
            order=order,
        )
    orders.mark_paid(work, order)


def repay(work: UnitOfWork, *, user_id: int, fen: int, request_key: str) -> JournalEntry:
    """Pay back credit from the wallet, once for a key; NotOwed when that is more than is owed."""
    users.lock(work, user_id)
    key = f"repayment:{user_id}:{request_key}"
    known = ledger.by_key(work, key)
    if known is not None:
        return known
    owed = -ledger.balance(work, ledger.credit(user_id))
    if not 0 < fen <= owed:
        raise NotOwed(owed_fen=owed)
    entry = ledger.post(
        work,
        kind=EntryKind.REPAYMENT,
        key=key,
        moves=[Move(ledger.cash(user_id), ledger.credit(user_id), fen)],
        user_id=user_id,
        distributor_id=user_id,
    )
    logs.record(
        work,
        action="distributor.repay",
        object_type="user",
        object_id=user_id,
        after={"fen": fen, "owed_fen": owed - fen},
    )
    work.wake(f"wallet:{user_id}")
    return entry
