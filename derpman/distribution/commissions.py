"""A distributor's share of what his customers pay themselves, booked as it is earned.

What an order should have brought him follows from the order alone. Whatever happens to an order,
the difference to what is booked already is booked: so messages may come twice, late, or the one of
a refund before the one of the delivery.
"""

from __future__ import annotations

from sqlalchemy import select

from derpman.distribution import pricing, terms
from derpman.distribution.models import Commission
from derpman.finance import ledger, orders
from derpman.finance.ledger import Holder, Move
from derpman.finance.models import AccountKind, EntryKind, Order, OrderKind
from derpman.finance.states import FULFILLED, OrderStatus
from derpman.kit.work import Role, UnitOfWork
from derpman.serials import service as serials
from derpman.users.models import User

COMMISSION = Holder(AccountKind.COMMISSION)


def payable(user_id: int) -> Holder:
    """Return the account of what a distributor has earned and was not settled."""
    return Holder(AccountKind.PAYABLE, user_id)


def follow(work: UnitOfWork, *, order_id: int, **_facts: object) -> None:
    """Book what an order's commission should be and is not yet, or was and should not be.

    Serials that were paid back and are unused become worthless.
    """
    order = orders.lock_of(work, work.session.get_one(Order, order_id))
    if order.kind is OrderKind.SERIALS and order.status is OrderStatus.REFUNDED:
        serials.revoke_of_order(work, order_id=order.id, reason=f"{order.number} refunded")
    if order.kind is OrderKind.RENTAL and order.distributor_id is not None:
        _follow(work, order, order.distributor_id)


def _follow(work: UnitOfWork, order: Order, distributor_id: int) -> None:
    parts = work.session.scalars(select(Commission).where(Commission.order_id == order.id)).all()
    if not parts and not _earns(work, order, distributor_id):
        return
    if parts:
        rate = parts[0].rate_bp
    else:  # what he was when it was paid, however late this is
        rate = terms.rate_of(work, user_id=distributor_id, at=order.paid_at)
    base = pricing.commission_base(order.amount_fen, order.bonus_fen, order.refunded_fen)
    missing = pricing.share(base, rate) - sum(part.fen for part in parts)
    if missing == 0:
        return
    his = payable(distributor_id)
    entry = ledger.post(
        work,
        kind=EntryKind.COMMISSION if missing > 0 else EntryKind.COMMISSION_BACK,
        key=f"commission:{order.id}:{order.refunded_fen}",
        moves=[Move(COMMISSION, his, missing) if missing > 0 else Move(his, COMMISSION, -missing)],
        user_id=distributor_id,
        order=order,
    )
    work.session.add(
        Commission(
            user_id=distributor_id,
            order_id=order.id,
            entry_id=entry.id,
            base_fen=base,
            rate_bp=rate,
            fen=missing,
            booked_on=entry.booked_on,
        )
    )
    work.session.flush()


def _earns(work: UnitOfWork, order: Order, distributor_id: int) -> bool:
    """Tell whether an order is one that earns: it was delivered, and he is still a distributor."""
    if order.status not in FULFILLED:
        return False
    return work.session.get_one(User, distributor_id).role is Role.DISTRIBUTOR
