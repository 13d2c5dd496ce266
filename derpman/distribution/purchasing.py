"""Verbs on purchases of serials: at a discount, paid in every way, delivered once."""

from __future__ import annotations

from derpman.distribution import pricing, terms
from derpman.distribution.errors import MayNotGenerate
from derpman.distribution.events import SerialsReady
from derpman.distribution.pricing import Price
from derpman.finance import ledger, orders, purchases, settling
from derpman.finance import service as finance
from derpman.finance.models import Method, Order, OrderKind
from derpman.finance.states import OrderStatus
from derpman.kit.work import UnitOfWork
from derpman.serials import service as serials
from derpman.serials.models import Serial
from derpman.users import service as users


def quote(work: UnitOfWork, *, user_id: int, plan_id: int, quantity: int) -> Price:
    """Return what so many serials of a plan cost a distributor at this moment."""
    plan = finance.plan_on_sale(work, plan_id)
    return pricing.price(plan.price_fen, quantity, terms.rate_of(work, user_id=user_id))


def place(
    work: UnitOfWork,
    *,
    user_id: int,
    plan_id: int,
    quantity: int,
    request_key: str,
    method: Method | None,
) -> Order:
    """Order serials for a distributor at his price; paid by wallet or credit they are there.

    Without a way of paying the order waits for one. The same key is the same order, whatever
    has changed since: who did not hear the answer asks again.
    """
    users.lock(work, terms.distributor(work, user_id).id)
    before = purchases.known(
        work, user_id=user_id, plan_id=plan_id, quantity=quantity, request_key=request_key
    )
    if before is not None:
        return before
    users.require_active(work, user_id)
    price = quote(work, user_id=user_id, plan_id=plan_id, quantity=quantity)
    order = purchases.place(
        work,
        user_id=user_id,
        plan_id=plan_id,
        duration_days=finance.plan(work, plan_id).duration_days,
        quantity=quantity,
        list_fen=price.list_fen,
        amount_fen=price.amount_fen,
        request_key=request_key,
        method=method,
    )
    if method is Method.CREDIT:
        _pay_by_credit(work, order)
    deliver(work, order_id=order.id)
    return order


def generate(
    work: UnitOfWork, *, user_id: int, plan_id: int, quantity: int, request_key: str, method: Method
) -> Order:
    """Make serials for a distributor who may do that himself, paid by wallet or credit."""
    is_new = orders.by_key(work, user_id=user_id, request_key=request_key) is None
    if is_new and not terms.of(work, user_id=user_id).may_generate:
        raise MayNotGenerate
    return place(
        work,
        user_id=user_id,
        plan_id=plan_id,
        quantity=quantity,
        request_key=request_key,
        method=method,
    )


def pay_by_credit(work: UnitOfWork, *, order_id: int) -> Order:
    """Pay a pending purchase by credit, and deliver it."""
    order = orders.lock(work, order_id)
    users.require_active(work, order.user_id)
    _pay_by_credit(work, order)
    deliver(work, order_id=order.id)
    return order


def _pay_by_credit(work: UnitOfWork, order: Order) -> None:
    limit = terms.of(work, user_id=order.user_id).credit_limit_fen
    purchases.pay_by_credit(work, order=order, limit_fen=limit)


def free_credit(work: UnitOfWork, *, user_id: int) -> int:
    """Return what is left of a distributor's credit, in fen."""
    limit = terms.of(work, user_id=user_id).credit_limit_fen
    return max(0, limit + ledger.balance(work, ledger.credit(user_id)))


def deliver(work: UnitOfWork, *, order_id: int) -> list[Serial]:
    """Make the serials of a paid purchase, once; nothing of an order that is something else."""
    order = orders.lock(work, order_id)
    if order.status is not OrderStatus.PAID or order.kind is not OrderKind.SERIALS:
        return []
    made = serials.generate_for(work, order=order)
    settling.deliver(work, order_id=order.id, action="complete")
    work.emit(SerialsReady(order_id=order.id))
    return made
