"""Verbs on orders until they are paid or closed: place, pay, cancel, expire.

Each verb locks the customer first and then the order: of two that act on one order at the same
moment the second sees what the first did.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from sqlalchemy import func, select

from derpman.finance import channels, ledger, service
from derpman.finance.errors import (
    AmountRefused,
    KeyUsed,
    MethodNotOffered,
    OrderNotFound,
    OrderNotPayable,
    TooManyOrders,
)
from derpman.finance.events import OrderClosed, OrderPaid, PaymentWanted
from derpman.finance.ledger import DEFERRED, Move
from derpman.finance.models import (
    GATEWAYS,
    TRANSFERS,
    EntryKind,
    Method,
    Order,
    OrderKind,
    Payment,
)
from derpman.finance.states import (
    PAYMENT_TRANSITIONS,
    TRANSITIONS,
    OrderStatus,
    PaymentStatus,
)
from derpman.kit.codes import LETTERS
from derpman.kit.states import next_state
from derpman.kit.types import MAX_ID
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.users import service as users

GATEWAY_WAITS = timedelta(minutes=30)
TRANSFER_WAITS = timedelta(hours=24)
FIRST_QUESTION_AFTER = timedelta(seconds=15)
MAX_PENDING = 10
LEAST_TOP_UP_FEN, MOST_TOP_UP_FEN = 100, 10_000_000


def place(
    work: UnitOfWork,
    *,
    user_id: int,
    request_key: str,
    method: Method,
    kind: OrderKind = OrderKind.RENTAL,
    plan_id: int | None = None,
    amount_fen: int | None = None,
) -> Order:
    """Order a plan or money for the wallet, and begin to pay; the same key is the same order.

    By wallet the order is paid at once, or NotEnoughMoney and there is none. A plan that somebody's
    customer buys is his distributor's turnover.
    """
    user = users.lock(work, user_id)
    known = _same(work, user_id, request_key, kind, plan_id, amount_fen)
    if known is not None:
        return known
    refuse_too_many(work, user_id)
    days = 0
    if kind is OrderKind.TOP_UP:
        users.refuse_suspended(user)
        price = amount_fen or 0
        if not LEAST_TOP_UP_FEN <= price <= MOST_TOP_UP_FEN:
            raise AmountRefused(least=LEAST_TOP_UP_FEN, most=MOST_TOP_UP_FEN)
        if method is Method.WALLET:
            raise MethodNotOffered
    else:
        users.refuse_unrenewable(user)  # he would pay, and have it back at once
        plan = service.plan_on_sale(work, plan_id or 0)
        price, days = plan.price_fen, plan.duration_days
    order = create(
        work,
        user_id=user_id,
        request_key=request_key,
        kind=kind,
        plan_id=plan_id,
        duration_days=days,
        list_fen=price,
        amount_fen=price,
        method=method,
        distributor_id=None if kind is OrderKind.TOP_UP else user.distributor_id,
    )
    begin(work, order, method)
    return order


def record_gift(
    work: UnitOfWork, *, user_id: int, plan_id: int | None, days: int, reason: str, request_key: str
) -> Order:
    """Record time that an admin gave, as an order of price zero that is renewed already."""
    order = create(
        work,
        user_id=user_id,
        request_key=request_key,
        kind=OrderKind.RENTAL,
        plan_id=plan_id,
        duration_days=days,
        list_fen=0,
        amount_fen=0,
        method=Method.NONE,
        distributor_id=None,
    )
    order.status = OrderStatus.RENEWED
    order.reason = reason
    order.paid_at = order.done_at = work.now
    work.session.flush()
    return order


def create(
    work: UnitOfWork,
    *,
    user_id: int,
    request_key: str,
    kind: OrderKind,
    plan_id: int | None,
    duration_days: int,
    list_fen: int,
    amount_fen: int,
    method: Method,
    distributor_id: int | None,
    quantity: int = 1,
) -> Order:
    """Write down a pending order of a user whom the caller has locked; nothing is paid yet."""
    stamp = work.now.astimezone(ledger.BEIJING).strftime("%Y%m%d%H%M%S")
    order = Order(
        number=f"D{stamp}{''.join(secrets.choice(LETTERS) for _ in range(10))}",
        user_id=user_id,
        request_key=request_key,
        kind=kind,
        plan_id=plan_id,
        duration_days=duration_days,
        quantity=quantity,
        list_fen=list_fen,
        amount_fen=amount_fen,
        status=OrderStatus.PENDING,
        method=method,
        distributor_id=distributor_id,
        created_at=work.now,
        closes_at=work.now + (TRANSFER_WAITS if method in TRANSFERS else GATEWAY_WAITS),
    )
    work.session.add(order)
    work.session.flush()
    logs.record(
        work,
        action="order.place",
        object_type="order",
        object_id=order.id,
        after={"number": order.number, "kind": kind, "plan_id": plan_id, "amount_fen": amount_fen},
    )
    return order


def _same(
    work: UnitOfWork,
    user_id: int,
    request_key: str,
    kind: OrderKind,
    plan_id: int | None,
    amount_fen: int | None,
) -> Order | None:
    known = by_key(work, user_id=user_id, request_key=request_key)
    if known is None:
        return None
    is_amount_same = amount_fen is None or known.amount_fen == amount_fen
    if (known.kind, known.plan_id) != (kind, plan_id) or not is_amount_same:
        raise KeyUsed
    return known


def refuse_too_many(work: UnitOfWork, user_id: int) -> None:
    """Raise TooManyOrders when a user has as many unpaid ones as he may."""
    pending = work.session.scalar(
        select(func.count(Order.id)).where(
            Order.user_id == user_id, Order.status == OrderStatus.PENDING
        )
    )
    if (pending or 0) >= MAX_PENDING:
        raise TooManyOrders(count=pending)


def get(work: UnitOfWork, order_id: int) -> Order:
    """Return an order that the actor may see: his own, or any for staff."""
    order = work.session.get(Order, order_id) if 0 < order_id <= MAX_ID else None
    if order is None or not (work.actor.is_staff or order.user_id == work.actor.user_id):
        raise OrderNotFound
    return order


def by_number(work: UnitOfWork, number: str) -> Order | None:
    """Return the order of a number, whoever asks."""
    return work.session.scalar(select(Order).where(Order.number == number))


def by_key(work: UnitOfWork, *, user_id: int, request_key: str) -> Order | None:
    """Return the order that a user's request key stands for."""
    return work.session.scalar(
        select(Order).where(Order.user_id == user_id, Order.request_key == request_key)
    )


def lock(work: UnitOfWork, order_id: int) -> Order:
    """Return an order that the actor may see, with its customer and itself locked."""
    return lock_of(work, get(work, order_id))


def lock_of(work: UnitOfWork, order: Order) -> Order:
    """Return an order with its customer and itself locked, whoever asks: for what comes in."""
    users.lock(work, order.user_id)
    # Not by `Session.get`: it takes an order that changed since it was read for a conflict.
    locked = select(Order).where(Order.id == order.id).with_for_update()
    return work.session.scalars(locked.execution_options(populate_existing=True)).one()


def pay(work: UnitOfWork, *, order_id: int, method: Method) -> Order:
    """Pay a pending order, or begin to, perhaps in another way than before."""
    order = lock(work, order_id)
    user = users.get(work, order.user_id)
    if order.kind is OrderKind.RENTAL:
        users.refuse_unrenewable(user)
    else:
        users.refuse_suspended(user)
    if order.status is not OrderStatus.PENDING:
        raise OrderNotPayable(state=order.status)
    if method is Method.WALLET and order.kind is OrderKind.TOP_UP:
        raise MethodNotOffered
    begin(work, order, method)
    return order


def begin(work: UnitOfWork, order: Order, method: Method) -> None:
    """Pay a locked pending order, or begin to."""
    order.method = method
    if order.amount_fen == 0:
        order.method = Method.NONE
        mark_paid(work, order)
    elif method is Method.WALLET:
        _pay_by_wallet(work, order)
    elif method in GATEWAYS or method in TRANSFERS:
        channels.require(work, method)
        waits = TRANSFER_WAITS if method in TRANSFERS else GATEWAY_WAITS
        order.closes_at = max(order.closes_at, work.now + waits)
        work.session.flush()
        if method in GATEWAYS:
            _open_payment(work, order, method)
    else:
        raise MethodNotOffered


def _open_payment(work: UnitOfWork, order: Order, channel: Method) -> None:
    payment = payment_of(work, order.id, channel)
    if payment is None:
        payment = Payment(
            order_id=order.id,
            channel=channel,
            status=PaymentStatus.OPEN,
            created_at=work.now,
            ask_at=work.now + FIRST_QUESTION_AFTER,
            asked=0,
        )
        work.session.add(payment)
        work.session.flush()
    if payment.qr_text is None:
        work.emit(PaymentWanted(payment_id=payment.id))


def payment_of(work: UnitOfWork, order_id: int, channel: Method) -> Payment | None:
    """Return an order's attempt at a gateway."""
    return work.session.scalar(
        select(Payment).where(Payment.order_id == order_id, Payment.channel == channel)
    )


def _pay_by_wallet(work: UnitOfWork, order: Order) -> None:
    """Take the price from the wallet: what was given first, then what was paid in.

    What was given buys no serials: they can be sold for money.
    """
    given, paid_in = ledger.bonus(order.user_id), ledger.cash(order.user_id)
    usable = 0 if order.kind is OrderKind.SERIALS else ledger.balance(work, given)
    order.bonus_fen = min(usable, order.amount_fen)
    order.cash_fen = order.amount_fen - order.bonus_fen
    ledger.post(
        work,
        kind=EntryKind.ORDER_PAID,
        key=f"order:{order.id}",
        moves=[Move(given, DEFERRED, order.bonus_fen), Move(paid_in, DEFERRED, order.cash_fen)],
        user_id=order.user_id,
        order=order,
    )
    mark_paid(work, order)


def mark_paid(work: UnitOfWork, order: Order) -> None:
    """Note that the price is there; what was bought follows by the event."""
    order.status = next_state(TRANSITIONS, order.status, "pay")
    order.paid_at = work.now
    logs.record(
        work,
        action="order.pay",
        object_type="order",
        object_id=order.id,
        after={"number": order.number, "method": order.method, "amount_fen": order.amount_fen},
    )
    logs.record_history(
        work,
        user_id=order.user_id,
        kind="order.paid",
        detail={"order": order.number, "amount_fen": order.amount_fen, "plan_id": order.plan_id},
    )
    if order.kind is OrderKind.TOP_UP:
        order.status = next_state(TRANSITIONS, order.status, "complete")
        order.done_at = work.now
    else:
        work.emit(OrderPaid(order_id=order.id))
    work.session.flush()
    _close_payments(work, order)
    work.wake(f"wallet:{order.user_id}")


def _close_payments(work: UnitOfWork, order: Order) -> None:
    """Have gateways forget an order that nobody is to pay any more."""
    for payment in work.session.scalars(select(Payment).where(Payment.order_id == order.id)):
        if payment.status is PaymentStatus.OPEN:
            payment.status = next_state(PAYMENT_TRANSITIONS, payment.status, "close")
            work.emit(OrderClosed(order_id=order.id))
    work.session.flush()


def cancel(work: UnitOfWork, *, order_id: int, reason: str | None = None) -> Order:
    """Give up an order that is not paid; money that comes all the same goes to the wallet."""
    order = lock(work, order_id)
    _close(work, order, "cancel", reason)
    return order


def expire(work: UnitOfWork, *, order_id: int) -> None:
    """Close an order that was not paid in time; one that was paid meanwhile stays as it is."""
    order = lock(work, order_id)
    if order.status is OrderStatus.PENDING and order.closes_at <= work.now:
        _close(work, order, "expire", None)


def _close(work: UnitOfWork, order: Order, action: str, reason: str | None) -> None:
    order.status = next_state(TRANSITIONS, order.status, action)
    order.closed_at = work.now
    order.reason = reason
    work.session.flush()
    _close_payments(work, order)
    logs.record(
        work,
        action=f"order.{action}",
        object_type="order",
        object_id=order.id,
        after={"number": order.number, "status": order.status, "reason": reason},
    )
