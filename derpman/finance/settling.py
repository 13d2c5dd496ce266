"""What becomes of an order's money: it comes in, is earned by what is delivered, or goes back."""

from __future__ import annotations

from derpman.finance import earning, ledger
from derpman.finance.errors import TooMuchRefunded
from derpman.finance.events import OrderDelivered, OrderRefunded, WalletCredited
from derpman.finance.ledger import DEFERRED, Holder, Move
from derpman.finance.models import AccountKind, EntryKind, Method, Order, OrderKind
from derpman.finance.orders import lock, lock_of, mark_paid
from derpman.finance.states import FULFILLED, TRANSITIONS, OrderStatus
from derpman.kit.states import IllegalTransition, next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs


def receive(work: UnitOfWork, *, order_id: int, account: AccountKind, key: str, note: str) -> bool:
    """Book that the price of an order came in from outside; False when it was booked before.

    Money for an order that is not waiting for it is the customer's: it goes to his wallet.
    """
    order = lock_of(work, work.session.get_one(Order, order_id))
    if ledger.is_booked(work, key):
        return False
    is_late = order.status is not OrderStatus.PENDING
    to_wallet = is_late or order.kind is OrderKind.TOP_UP
    kind = EntryKind.LATE_MONEY if is_late else EntryKind.TOP_UP
    entry = ledger.post(
        work,
        kind=kind if to_wallet else EntryKind.ORDER_PAID,
        key=key,
        moves=[
            Move(
                Holder(account),
                ledger.cash(order.user_id) if to_wallet else DEFERRED,
                order.amount_fen,
            )
        ],
        user_id=order.user_id,
        order=order,
        note=note,
    )
    if not is_late:
        mark_paid(work, order)
    if to_wallet:
        work.emit(WalletCredited(entry_id=entry.id))
    return True


def deliver(
    work: UnitOfWork,
    *,
    order_id: int,
    action: str,
    rental_id: int | None = None,
    reason: str | None = None,
) -> Order:
    """Mark a paid order `complete` or `renew`: what was bought is there, and is earned from now."""
    order = lock(work, order_id)
    if action not in {"complete", "renew"}:
        raise IllegalTransition(state=order.status, action=action)
    order.status = next_state(TRANSITIONS, order.status, action)
    order.done_at = work.now
    order.rental_id = rental_id
    order.reason = reason
    work.session.flush()
    earning.begin(
        work,
        order=order,
        amount_fen=order.amount_fen - order.refunded_fen,
        days=order.duration_days,
    )
    logs.record(
        work,
        action=f"order.{action}",
        object_type="order",
        object_id=order.id,
        after={"number": order.number, "status": order.status, "reason": reason},
    )
    work.emit(OrderDelivered(order_id=order.id))
    return order


def give_up(work: UnitOfWork, *, order_id: int, reason: str) -> Order:
    """Give the money of a paid order back to the wallet, because it cannot be delivered."""
    order = lock(work, order_id)
    if order.status is not OrderStatus.PAID:
        raise IllegalTransition(state=order.status, action="refund")
    left = order.amount_fen - order.refunded_fen
    _give_back(work, order, left, EntryKind.GIVEN_BACK, f"given_back:{order.id}", reason)
    return order


def refund(
    work: UnitOfWork, *, order_id: int, fen: int | None, reason: str, request_key: str
) -> Order:
    """Give money of a paid order back to the wallet; all that is left of it when `fen` is None."""
    order = lock(work, order_id)
    key = f"refund:{order.id}:{request_key}"
    if ledger.is_booked(work, key):
        return order
    left = order.amount_fen - order.refunded_fen
    is_refundable = order.status is OrderStatus.PAID or order.status in FULFILLED
    if not is_refundable or order.kind is OrderKind.TOP_UP:
        raise IllegalTransition(state=order.status, action="refund")
    amount = left if fen is None else fen
    if not 0 < amount <= left:
        raise TooMuchRefunded(left_fen=left)
    _give_back(work, order, amount, EntryKind.REFUND, key, reason)
    logs.record(
        work,
        action="order.refund",
        object_type="order",
        object_id=order.id,
        before={"refunded_fen": order.refunded_fen - amount},
        after={"refunded_fen": order.refunded_fen, "reason": reason},
    )
    return order


def _give_back(
    work: UnitOfWork, order: Order, fen: int, kind: EntryKind, key: str, reason: str
) -> None:
    """Give back cash first, as long as cash was paid; what had been given comes back as that."""
    cash_left = max(0, order.amount_fen - order.bonus_fen - order.refunded_fen)
    in_cash = min(fen, cash_left)
    owed = -ledger.balance(work, ledger.credit(order.user_id))
    in_credit = min(in_cash, owed) if order.method is Method.CREDIT else 0
    to = [
        (ledger.credit(order.user_id), in_credit),  # what he has not paid yet he need not pay
        (ledger.cash(order.user_id), in_cash - in_credit),
        (ledger.bonus(order.user_id), fen - in_cash),
    ]
    if order.status is OrderStatus.PAID:
        moves = [Move(DEFERRED, holder, amount) for holder, amount in to]
    else:
        moves = earning.give_back(work, order=order, fen=fen, to=to)
    if fen:
        entry = ledger.post(
            work, kind=kind, key=key, moves=moves, user_id=order.user_id, order=order, note=reason
        )
        logs.record_history(
            work,
            user_id=order.user_id,
            kind=f"order.{kind}",
            detail={"order": order.number, "fen": fen, "reason": reason},
        )
        work.emit(OrderRefunded(order_id=order.id, entry_id=entry.id))
        work.emit(WalletCredited(entry_id=entry.id))
    order.refunded_fen += fen
    if order.refunded_fen == order.amount_fen:
        order.status = next_state(TRANSITIONS, order.status, "refund")
        order.closed_at = work.now
    order.reason = reason
    work.session.flush()
    work.wake(f"wallet:{order.user_id}")
