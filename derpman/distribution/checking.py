"""Commissions checked against the orders they are of, and against the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select

from derpman.distribution import pricing, terms
from derpman.distribution.models import Commission, Statement
from derpman.finance import checking, ledger
from derpman.finance.models import Account, AccountKind, JournalEntry, Order, OrderKind
from derpman.finance.states import FULFILLED, OrderStatus
from derpman.kit.work import Role, UnitOfWork
from derpman.users import queries

SETTLES_WITHIN = timedelta(minutes=10)
"""How long the message of a delivery or a refund may be on its way."""


def check_orders(work: UnitOfWork, *, after: int, limit: int) -> tuple[int | None, int]:
    """Compare what customers of distributors bought in the last day with the commission on it.

    Return the id of the order the next page begins after (None: all are done), and how many differ.
    """
    orders = work.session.scalars(
        select(Order)
        .where(
            Order.id > after,
            Order.kind == OrderKind.RENTAL,
            Order.distributor_id.is_not(None),
            Order.status.in_((*FULFILLED, OrderStatus.REFUNDED)),
            Order.paid_at >= work.now - checking.LOOKED_BACK,
        )
        .order_by(Order.id)
        .limit(limit)
    ).all()
    booked = {
        row.order_id: (int(row.fen), int(row.rate_bp))
        for row in work.session.execute(
            select(
                Commission.order_id,
                func.sum(Commission.fen).label("fen"),
                func.min(Commission.rate_bp).label("rate_bp"),
            )
            .where(Commission.order_id.in_([one.id for one in orders]))
            .group_by(Commission.order_id)
        )
    }
    wrong = 0
    for order in orders:
        fen, rate_bp = booked.get(order.id, (0, None))
        if rate_bp is None:
            rate_bp = _rate(work, order)
        base = pricing.commission_base(order.amount_fen, order.bonus_fen, order.refunded_fen)
        wanted = pricing.share(base, rate_bp)
        if fen != wanted and not _is_new(work, order):
            wrong += 1
            what = f"commission on order {order.number}: {wanted} wanted, {fen} is booked"
            checking.report(work, f"commission:{order.number}", what)
    return (orders[-1].id if len(orders) == limit else None), wrong


def _is_new(work: UnitOfWork, order: Order) -> bool:
    """Tell whether the commission may still be on its way."""
    since = work.now - SETTLES_WITHIN
    if order.done_at is not None and order.done_at > since:
        return True
    booked = select(JournalEntry.id).where(
        JournalEntry.order_id == order.id, JournalEntry.created_at > since
    )
    return work.session.scalar(booked.limit(1)) is not None


def _rate(work: UnitOfWork, order: Order) -> int:
    """Return the rate of an order on which nothing was booked: a refund, or nothing to share."""
    distributor_id = order.distributor_id or 0
    if order.status is OrderStatus.REFUNDED:
        return 0
    delivered_at = order.done_at or work.now
    if queries.role_at(work, user_id=distributor_id, at=delivered_at) is not Role.DISTRIBUTOR:
        return 0
    return terms.rate_of(work, user_id=distributor_id, at=order.paid_at)


def check_payables(work: UnitOfWork, *, after: int, limit: int) -> tuple[int | None, int]:
    """Compare what distributors are to be paid with their commissions since the last statement.

    Return the id of the account the next page begins after (None: all are done), and how many
    differ.
    """
    ids = work.session.scalars(
        select(Account.id)
        .where(Account.id > after, Account.kind == AccountKind.PAYABLE)
        .order_by(Account.id)
        .limit(limit)
    ).all()
    wrong = _payables_off(work, ids)
    if wrong:  # perhaps by a commission booked between two of our reads: now nothing is
        ledger.lock_accounts(work, list(wrong))
        wrong = _payables_off(work, list(wrong))
    for user_id, what in wrong.values():
        checking.report(work, f"payable:{user_id}", what)
    return (ids[-1] if len(ids) == limit else None), len(wrong)


def _payables_off(work: UnitOfWork, ids: Sequence[int]) -> dict[int, tuple[int, str]]:
    """Return the accounts that differ, each with its distributor and how."""
    accounts = work.session.execute(
        select(Account.id, Account.user_id, Account.balance_fen).where(Account.id.in_(ids))
    ).all()
    users = [row.user_id for row in accounts]
    lines = work.session.execute(
        select(Commission.user_id, func.sum(Commission.fen).label("fen"))
        .where(Commission.user_id.in_(users), Commission.statement_id.is_(None))
        .group_by(Commission.user_id)
    )
    unsettled = {row.user_id: int(row.fen) for row in lines}
    newest = select(func.max(Statement.id)).where(Statement.user_id.in_(users))
    newest = newest.group_by(Statement.user_id)
    last = select(Statement.user_id, Statement.closing_fen).where(Statement.id.in_(newest))
    closing = {row.user_id: row.closing_fen for row in work.session.execute(last)}
    found: dict[int, tuple[int, str]] = {}
    for row in accounts:
        wanted = closing.get(row.user_id, 0) + unsettled.get(row.user_id, 0)
        if row.balance_fen != wanted:
            what = f"payable of user {row.user_id}: {wanted} by commissions, {row.balance_fen} kept"
            found[row.id] = (row.user_id, what)
    return found
