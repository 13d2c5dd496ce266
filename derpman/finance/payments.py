"""Orders at gateways: what is shown to who pays, and what becomes of what a gateway tells.

No transaction is open while a gateway is spoken to: tasks read here, speak, and record here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update

from derpman.alerts import service as alerts
from derpman.alerts.models import Severity
from derpman.finance import channels, orders, service, settling
from derpman.finance.gateway_terms import Bill, Told, TradeState
from derpman.finance.models import (
    AccountKind,
    Method,
    Order,
    OrderKind,
    Payment,
    PaymentNotice,
    Receipt,
)
from derpman.finance.states import PAYMENT_TRANSITIONS, OrderStatus, PaymentStatus
from derpman.kit.db import changed
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork

PAUSES = tuple(timedelta(seconds=seconds) for seconds in (15, 15, 30, 60, 60, 120, 300))
"""How long a gateway is left alone after the first, second, … question; the last goes on."""
LATE_QUESTIONS = (timedelta(minutes=5), timedelta(hours=1), timedelta(hours=24))
"""When it is asked after an order was closed: a notice may have been lost."""
LEASE = timedelta(seconds=60)
KEPT_STRANGE = 20
"""How many refused notices are kept for one order."""
ACCOUNTS = {Method.ALIPAY: AccountKind.ALIPAY, Method.WECHAT: AccountKind.WECHAT}

ACCEPTED, DUPLICATE, NOT_PAID = "accepted", "duplicate", "not about a payment"
UNKNOWN_ORDER, WRONG_AMOUNT = "unknown order", "wrong amount"
GOOD = frozenset({ACCEPTED, DUPLICATE, NOT_PAID})


@dataclass(frozen=True)
class Errand:
    """What a task needs to speak to a gateway about a payment; holds secrets: never log it."""

    payment_id: int
    channel: Method
    status: PaymentStatus
    bill: Bill
    credentials: dict[str, Any]


def errand(work: UnitOfWork, payment_id: int) -> Errand | None:
    """Return what is to be said about a payment, or None when there is nobody to say it to."""
    payment = work.session.get_one(Payment, payment_id)
    credentials = channels.credentials_of(work, payment.channel)
    if credentials is None:
        return None
    order = work.session.get_one(Order, payment.order_id)
    return Errand(payment.id, payment.channel, payment.status, bill_of(work, order), credentials)


def bill_of(work: UnitOfWork, order: Order) -> Bill:
    """Return an order as a gateway shows it to who pays."""
    if order.kind is OrderKind.TOP_UP or order.plan_id is None:
        subject = "DERP 余额充值"
    else:
        subject = f"DERP {service.plan(work, order.plan_id).name}"
    return Bill(order.number, order.amount_fen, subject[:100], order.closes_at)


def record_begun(work: UnitOfWork, *, payment_id: int, qr_text: str) -> None:
    """Keep the QR code of a payment for who waits for it."""
    payment = work.session.get_one(Payment, payment_id)
    payment.qr_text, payment.answer = qr_text[:512], "ready"
    work.session.flush()
    work.wake(f"order:{payment.order_id}")


def record_answer(work: UnitOfWork, *, payment_id: int, answer: str) -> None:
    """Keep what a gateway said last, for who asks why an order is not paid."""
    work.session.execute(
        update(Payment).where(Payment.id == payment_id).values(answer=answer[:300])
    )
    work.wake("orders")


def lease_due(work: UnitOfWork, *, limit: int) -> Sequence[int]:
    """Take payments whose gateway is to be asked now; of two workers one gets each."""
    due = work.session.execute(
        select(Payment.id, Payment.ask_at)
        .where(Payment.ask_at <= work.now)
        .order_by(Payment.ask_at)
        .limit(limit)
    ).all()
    return [
        row.id
        for row in due
        if changed(
            work.session,
            update(Payment)
            .where(Payment.id == row.id, Payment.ask_at == row.ask_at)
            .values(ask_at=work.now + LEASE),
        )
    ]


def due_orders(work: UnitOfWork, *, limit: int) -> Sequence[int]:
    """Return pending orders whose time is over and of which no receipt waits, the oldest first."""
    waiting = select(Receipt.id).where(Receipt.open_order_id == Order.id).exists()
    return work.session.scalars(
        select(Order.id)
        .where(Order.status == OrderStatus.PENDING, Order.closes_at <= work.now, ~waiting)
        .order_by(Order.closes_at)
        .limit(limit)
    ).all()


def open_at_gateways(work: UnitOfWork, order_id: int) -> Sequence[int]:
    """Return the payments of an order that a gateway may still take money for."""
    return work.session.scalars(
        select(Payment.id).where(
            Payment.order_id == order_id, Payment.status != PaymentStatus.SUCCEEDED
        )
    ).all()


def record_told(work: UnitOfWork, *, payment_id: int, told: Told | None) -> str:
    """Act on a gateway's answer to our question, and say when it is asked next."""
    payment = work.session.get_one(Payment, payment_id)
    verdict = "never heard of it"
    if told is not None:
        verdict = _act(work, payment.channel, told)
        if verdict == ACCEPTED:
            _keep(work, payment.channel, told, verdict, is_answer=True)
    payment = work.session.get_one(Payment, payment_id, populate_existing=True)
    payment.asked += 1
    payment.answer = verdict if told is None else f"{told.state}: {verdict}"
    payment.ask_at = _next_question(work, payment)
    work.session.flush()
    return verdict


def _next_question(work: UnitOfWork, payment: Payment) -> Any:
    if payment.status is PaymentStatus.OPEN:
        return work.now + PAUSES[min(payment.asked, len(PAUSES)) - 1]
    if payment.status is PaymentStatus.SUCCEEDED:
        return None
    order = work.session.get_one(Order, payment.order_id)
    closed_at = order.closed_at or order.paid_at or work.now
    return next(
        (closed_at + later for later in LATE_QUESTIONS if closed_at + later > work.now), None
    )


def take_notice(work: UnitOfWork, *, channel: Method, told: Told, headers: str, body: str) -> str:
    """Act on a genuine notice, once; keep it as it came, with what became of it."""
    verdict = _act(work, channel, told)
    _keep(work, channel, told, verdict, is_answer=False, headers=headers, body=body)
    return verdict


def keep_refused(
    work: UnitOfWork, *, channel: Method, number: str, why: str, headers: str, body: str
) -> None:
    """Keep a refused notice when it names an order of ours, so that its trace shows it."""
    if orders.by_number(work, number) is None:
        return
    kept = work.session.scalar(
        select(func.count(PaymentNotice.id)).where(PaymentNotice.order_number == number)
    )
    if (kept or 0) < KEPT_STRANGE:
        told = Told(number, "", 0, TradeState.OTHER)
        _keep(work, channel, told, f"refused: {why}", is_answer=False, headers=headers, body=body)


def _act(work: UnitOfWork, channel: Method, told: Told) -> str:
    if told.state is not TradeState.PAID:
        return NOT_PAID
    found = orders.by_number(work, told.number)
    payment = None if found is None else orders.payment_of(work, found.id, channel)
    if found is None or payment is None:
        return UNKNOWN_ORDER
    if told.fen != found.amount_fen:
        # Signed, of our merchant, of our order, and still not what was asked for.
        alerts.raise_alert(
            work,
            alert_type="payment_amount",
            severity=Severity.CRITICAL,
            object_key=found.number,
            params={
                "order": found.number,
                "wanted_fen": found.amount_fen,
                "paid_fen": told.fen,
                "trade_no": told.trade_no,
                "channel": channel,
            },
        )
        return WRONG_AMOUNT
    order = orders.lock_of(work, found)
    if order.status is OrderStatus.PENDING:
        order.method = channel
    is_new = settling.receive(
        work,
        order_id=order.id,
        account=ACCOUNTS[channel],
        key=f"{channel}:{told.trade_no}",
        note=told.trade_no,
    )
    if not is_new:
        return DUPLICATE
    work.session.refresh(payment)
    if payment.status is not PaymentStatus.SUCCEEDED:
        payment.status = next_state(PAYMENT_TRANSITIONS, payment.status, "succeed")
        payment.trade_no, payment.succeeded_at, payment.ask_at = told.trade_no, work.now, None
    work.session.flush()
    return ACCEPTED


def _keep(
    work: UnitOfWork,
    channel: Method,
    told: Told,
    verdict: str,
    *,
    is_answer: bool,
    headers: str = "",
    body: str = "",
) -> None:
    work.session.add(
        PaymentNotice(
            channel=channel,
            order_number=told.number[:64],
            trade_no=told.trade_no[:64],
            verdict=verdict[:64],
            is_answer=is_answer,
            headers=headers,
            body=body,
            ip_address=work.actor.ip,
            created_at=work.now,
        )
    )
    work.session.flush()
