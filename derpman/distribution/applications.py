"""Verbs on applications for serials: apply, withdraw, approve, refuse."""

from __future__ import annotations

from sqlalchemy import func, select

from derpman.distribution import purchasing, terms
from derpman.distribution.errors import ApplicationNotFound, TooManyApplications
from derpman.distribution.events import ApplicationDecided
from derpman.distribution.models import Application
from derpman.distribution.states import TRANSITIONS, ApplicationStatus
from derpman.finance import service as finance
from derpman.finance.states import OrderStatus
from derpman.kit.states import next_state
from derpman.kit.types import MAX_ID
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.users import service as users

MAX_PENDING = 20


def apply(
    work: UnitOfWork, *, user_id: int, plan_id: int, quantity: int, note: str | None
) -> Application:
    """Ask for so many serials of a plan."""
    users.lock(work, terms.distributor(work, user_id).id)
    users.require_active(work, user_id)
    finance.plan_on_sale(work, plan_id)
    waiting = work.session.scalar(
        select(func.count(Application.id)).where(
            Application.user_id == user_id, Application.status == ApplicationStatus.PENDING
        )
    )
    if (waiting or 0) >= MAX_PENDING:
        raise TooManyApplications(count=waiting)
    application = Application(
        user_id=user_id,
        plan_id=plan_id,
        quantity=quantity,
        note=note,
        status=ApplicationStatus.PENDING,
        created_at=work.now,
    )
    work.session.add(application)
    work.session.flush()
    _record(work, application, "apply")
    return application


def get(work: UnitOfWork, application_id: int) -> Application:
    """Return an application that the actor may see: his own, or any for staff."""
    found = work.session.get(Application, application_id) if 0 < application_id <= MAX_ID else None
    if found is None or not (work.actor.is_staff or found.user_id == work.actor.user_id):
        raise ApplicationNotFound
    return found


def waiting(work: UnitOfWork) -> int:
    """Return how many applications wait for an admin."""
    found = select(func.count(Application.id)).where(
        Application.status == ApplicationStatus.PENDING
    )
    return work.session.scalar(found) or 0


def withdraw(work: UnitOfWork, *, application_id: int) -> Application:
    """Take an application back, as long as nobody has decided."""
    application = _locked(work, application_id)
    _decide(work, application, "withdraw", None)
    return application


def refuse(work: UnitOfWork, *, application_id: int, reason: str) -> Application:
    """Say no, and why."""
    application = _locked(work, application_id)
    _decide(work, application, "refuse", reason)
    work.emit(ApplicationDecided(application_id=application.id))
    return application


def approve(work: UnitOfWork, *, application_id: int) -> Application:
    """Make an order of it at the distributor's price; within his credit the serials are there."""
    application = _locked(work, application_id)
    _decide(work, application, "approve", None)
    order = purchasing.place(
        work,
        user_id=application.user_id,
        plan_id=application.plan_id,
        quantity=application.quantity,
        request_key=f"application-{application.id}",
        method=None,
    )
    application.order_id = order.id
    work.session.flush()
    free = purchasing.free_credit(work, user_id=application.user_id)
    if order.status is OrderStatus.PENDING and order.amount_fen <= free:
        purchasing.pay_by_credit(work, order_id=order.id)
    work.emit(ApplicationDecided(application_id=application.id))
    return application


def _locked(work: UnitOfWork, application_id: int) -> Application:
    application = get(work, application_id)
    users.lock(work, application.user_id)
    work.session.refresh(application)
    return application


def _decide(work: UnitOfWork, application: Application, action: str, reason: str | None) -> None:
    application.status = next_state(TRANSITIONS, application.status, action)
    application.reason = reason
    application.decided_at, application.decided_by = work.now, work.actor.user_id
    work.session.flush()
    _record(work, application, action)


def _record(work: UnitOfWork, application: Application, action: str) -> None:
    logs.record(
        work,
        action=f"application.{action}",
        object_type="application",
        object_id=application.id,
        after={
            "user_id": application.user_id,
            "plan_id": application.plan_id,
            "quantity": application.quantity,
            "status": application.status,
            "reason": application.reason,
        },
    )
