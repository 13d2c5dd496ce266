"""Lists of orders, and the story of one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from derpman.finance.models import (
    JournalEntry,
    Method,
    Order,
    OrderKind,
    Payment,
    PaymentNotice,
    Plan,
    Receipt,
)
from derpman.finance.states import OrderStatus, PaymentStatus, ReceiptStatus
from derpman.kit.paging import page
from derpman.kit.work import UnitOfWork

MOST_STEPS = 200


def orders_page(
    work: UnitOfWork,
    *,
    status: OrderStatus | None = None,
    kind: OrderKind | None = None,
    method: Method | None = None,
    user_id: int | None = None,
    plan_id: int | None = None,
    distributor_id: int | None = None,
    number: str | None = None,
    before: int | None = None,
    limit: int,
    sort: str | None = None,
) -> tuple[list[Order], int | None]:
    """Return a page of orders, the newest first; `number` is how one begins."""
    found = select(Order)
    for column, value in (
        (Order.status, status),
        (Order.kind, kind),
        (Order.method, method),
        (Order.user_id, user_id),
        (Order.plan_id, plan_id),
        (Order.distributor_id, distributor_id),
    ):
        if value is not None:
            found = found.where(column == value)
    if number:
        found = found.where(Order.number.startswith(number.upper(), autoescape=True))
    return page(work.session, found, Order.id, before, limit, sort)


def plan_names(work: UnitOfWork, found: list[Order]) -> dict[int, str]:
    """Return the names of the plans that orders are of."""
    return names_of_plans(work, plan_ids=[order.plan_id or 0 for order in found])


def names_of_plans(work: UnitOfWork, *, plan_ids: Iterable[int]) -> dict[int, str]:
    """Return plans' names by their ids."""
    rows = work.session.execute(select(Plan.id, Plan.name).where(Plan.id.in_(set(plan_ids))))
    return {row.id: row.name for row in rows}


def orders_by_id(work: UnitOfWork, order_ids: list[int]) -> dict[int, Order]:
    """Return orders by their ids, whoever asks."""
    found = work.session.scalars(select(Order).where(Order.id.in_(set(order_ids))))
    return {order.id: order for order in found}


def payments_of(work: UnitOfWork, order_id: int) -> list[Payment]:
    """Return what was begun at gateways for an order."""
    found = select(Payment).where(Payment.order_id == order_id).order_by(Payment.id)
    return list(work.session.scalars(found))


@dataclass(frozen=True)
class Step:
    """Something that happened to an order."""

    at: datetime
    what: str
    detail: str


def trace(work: UnitOfWork, order: Order) -> tuple[str, list[Step]]:
    """Return why an order is not paid, or how it was, and all that happened to it."""
    payments = payments_of(work, order.id)
    notices = list(
        work.session.scalars(
            select(PaymentNotice)
            .where(PaymentNotice.order_number == order.number)
            .order_by(PaymentNotice.id)
            .limit(MOST_STEPS)
        )
    )
    receipts = list(
        work.session.scalars(
            select(Receipt).where(Receipt.order_id == order.id).order_by(Receipt.id)
        )
    )
    entries = work.session.scalars(
        select(JournalEntry)
        .where(JournalEntry.order_id == order.id)
        .order_by(JournalEntry.id)
        .limit(MOST_STEPS)
    )
    steps = [Step(order.created_at, "placed", f"to be paid by {order.method}")]
    for one in payments:
        steps.append(Step(one.created_at, "gateway", f"{one.channel} was to be told"))
        if one.succeeded_at:
            steps.append(Step(one.succeeded_at, "gateway", f"{one.channel}: {one.trade_no}"))
    for notice in notices:
        source = "answer" if notice.is_answer else "notice"
        steps.append(Step(notice.created_at, source, f"{notice.channel}: {notice.verdict}"))
    for receipt in receipts:
        steps.append(Step(receipt.created_at, "receipt", f"receipt {receipt.id} uploaded"))
        if receipt.decided_at:
            told = f"receipt {receipt.id} {receipt.status}"
            steps.append(Step(receipt.decided_at, "receipt", f"{told}: {receipt.reason or ''}"))
    steps += [
        Step(entry.created_at, "ledger", f"{entry.kind} {entry.note or ''}") for entry in entries
    ]
    for at, what in ((order.done_at, "delivered"), (order.closed_at, "closed")):
        if at:
            steps.append(Step(at, what, order.reason or order.status))
    steps.sort(key=lambda step: step.at)
    return _verdict(order, payments, notices, receipts), steps


def _verdict(
    order: Order,
    payments: list[Payment],
    notices: list[PaymentNotice],
    receipts: list[Receipt],
) -> str:
    if order.paid_at:
        return f"paid by {order.method} at {order.paid_at.isoformat()}; now {order.status}"
    if order.status is not OrderStatus.PENDING:
        return f"{order.status} without payment: {order.reason or 'nobody paid in time'}"
    if any(one.status is ReceiptStatus.WAITING for one in receipts):
        return "a receipt waits for an admin"
    if receipts:
        return f"the last receipt was refused: {receipts[-1].reason}"
    if refused := [one for one in notices if one.verdict.startswith("refused")]:
        return f"a notice came and was {refused[-1].verdict}"
    if opened := [one for one in payments if one.status is PaymentStatus.OPEN]:
        last = opened[-1]
        return f"{last.channel} was asked {last.asked} times; last answer: {last.answer or 'none'}"
    return f"nothing has come in by {order.method} yet"
