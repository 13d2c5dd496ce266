"""Mails to distributors, queued by the handlers of their events."""

from __future__ import annotations

from sqlalchemy import select

from derpman.distribution.models import Application, Statement
from derpman.distribution.states import ApplicationStatus
from derpman.finance import service as finance
from derpman.finance.models import Order
from derpman.finance.states import OrderStatus
from derpman.kit.money import yuan_text
from derpman.kit.work import UnitOfWork
from derpman.serials.models import Serial
from derpman.users import messages

MOST_CODES = 200
"""In one mail; the others are on the site."""


def tell_decided(work: UnitOfWork, *, application_id: int) -> None:
    """Tell a distributor what became of his application, and what is to be paid."""
    application = work.session.get_one(Application, application_id)
    order = None if application.order_id is None else work.session.get(Order, application.order_id)
    is_unpaid = order is not None and order.status is OrderStatus.PENDING
    params = {
        "plan": finance.plan(work, application.plan_id).name,
        "count": application.quantity,
        "is_approved": application.status is ApplicationStatus.APPROVED,
        "reason": application.reason or "",
        "order": order.number if order is not None and is_unpaid else "",
        "amount": yuan_text(order.amount_fen) if order is not None and is_unpaid else "",
    }
    once_key = f"application:{application_id}"
    messages.mail(work, application.user_id, "application_decided", params, once_key=once_key)


def tell_ready(work: UnitOfWork, *, order_id: int) -> None:
    """Send a distributor the serials that he bought."""
    order = work.session.get_one(Order, order_id)
    found = select(Serial).where(Serial.order_id == order_id).order_by(Serial.id)
    made = work.session.scalars(found.limit(MOST_CODES)).all()
    if not made:
        return
    params = {
        "plan": finance.plan(work, order.plan_id or 0).name,
        "order": order.number,
        "amount": yuan_text(order.amount_fen),
        "count": order.quantity,
        "expires_at": made[0].expires_at,
        "codes": [one.code for one in made],
    }
    messages.mail(work, order.user_id, "serials_ready", params, once_key=f"serials:{order_id}")


def tell_settled(work: UnitOfWork, *, statement_id: int) -> None:
    """Tell a distributor that a month is settled."""
    statement = work.session.get_one(Statement, statement_id)
    params = {
        "month": f"{statement.month:%Y-%m}",
        **{
            name: yuan_text(getattr(statement, f"{name}_fen"))
            for name in ("opening", "earned", "taken_back", "to_credit", "to_wallet", "closing")
        },
    }
    once_key = f"statement:{statement_id}"
    messages.mail(work, statement.user_id, "statement_made", params, once_key=once_key)
