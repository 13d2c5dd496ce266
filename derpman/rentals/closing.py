"""Deregistration: what stands against it, and its steps until nothing of it is left on a server.

The account ends in two steps. At once nothing serves any more, documents and credentials are
destroyed and the relays are released; when every server has proved them gone, it is closed. A
server that cannot be reached delays only the second, which is tried again until it succeeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from derpman.access import service as access
from derpman.acl import destroying
from derpman.alerts import service as alerts
from derpman.alerts.models import Severity
from derpman.containers import leaving
from derpman.finance import auto_renewals, wallet
from derpman.kit.money import yuan_text
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.rentals import opening, service
from derpman.rentals.errors import OpenMatters
from derpman.rentals.events import UserDeregistered, UserDeregistering
from derpman.tailnets import service as tailnets
from derpman.users import closing as accounts
from derpman.users import service as users
from derpman.users.models import User
from derpman.users.states import UserStatus

BY_HIMSELF = "asked"
BY_TIME = "not_renewed"
RENTAL_RUNS = "rental_runs"


@dataclass(frozen=True)
class Matter:
    """Something that is to be settled before an account can be closed by its owner."""

    code: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Progress:
    """How far the end of an account is."""

    status: UserStatus
    deregister_at: datetime | None
    deregistered_at: datetime | None
    matters: list[Matter]
    waiting_for: list[leaving.Waiting]


def open_matters(work: UnitOfWork, user_id: int) -> list[Matter]:
    """Return what a user would have to settle first: his money, and the rental that runs."""
    money = wallet.unsettled(work, user_id=user_id)
    found: list[Matter] = []
    if money.pending_orders:
        found.append(Matter("orders_pending", {"count": money.pending_orders}))
    if money.undelivered_orders:
        found.append(Matter("orders_undelivered", {"count": money.undelivered_orders}))
    if money.cash_fen:
        amount = {"fen": money.cash_fen, "amount": yuan_text(money.cash_fen)}
        found.append(Matter("wallet_balance", amount))
    if money.payable_fen:
        amount = {"fen": money.payable_fen, "amount": yuan_text(money.payable_fen)}
        found.append(Matter("distributor_balance", amount))
    if money.owed_fen:
        amount = {"fen": money.owed_fen, "amount": yuan_text(money.owed_fen)}
        found.append(Matter("distributor_debt", amount))
    rental = service.open_rental(work, user_id)
    if rental is not None:
        found.append(Matter(RENTAL_RUNS, {"expires_at": rental.expires_at.isoformat()}))
    return found


def progress(work: UnitOfWork, *, user_id: int) -> Progress:
    """Return whether an account can be closed, or how far that is."""
    user = users.get(work, user_id)
    is_open = user.status in (UserStatus.ACTIVE, UserStatus.SUSPENDED)
    return Progress(
        status=user.status,
        deregister_at=user.deregister_at,
        deregistered_at=user.deregistered_at,
        matters=open_matters(work, user_id) if is_open else [],
        waiting_for=[] if is_open else leaving.waiting_for(work, user_id=user_id),
    )


def ask(work: UnitOfWork, *, user_id: int, gives_up_rental: bool) -> None:
    """Begin the end of a user's account, as he wishes; OpenMatters when something is not settled.

    A rental that runs is one of these until he says that he gives it up.
    """
    user = users.lock(work, user_id)
    users.refuse_suspended(user)
    matters = [
        matter
        for matter in open_matters(work, user_id)
        if matter.code != RENTAL_RUNS or not gives_up_rental
    ]
    if matters:
        raise OpenMatters(matters=[{"code": one.code, **one.params} for one in matters])
    _begin(work, user, BY_HIMSELF)


def close_due(work: UnitOfWork, *, user_id: int) -> None:
    """Begin the end of an account that was not renewed for 30 days; its money stays on the books.

    One that was renewed, suspended or closed meanwhile stays as it is.
    """
    user = users.lock(work, user_id)
    is_due = user.deregister_at is not None and user.deregister_at <= work.now
    if not is_due or user.status is not UserStatus.ACTIVE:
        return
    if service.open_rental(work, user_id) is not None:
        return
    money = wallet.unsettled(work, user_id=user_id)
    owed_fen = money.cash_fen + money.payable_fen - money.owed_fen
    if owed_fen or money.undelivered_orders:
        alerts.raise_alert(
            work,
            alert_type="owed_to_deregistered",
            severity=Severity.WARNING,
            object_key=str(user_id),
            params={
                "user_id": user_id,
                "username": user.username,
                "amount": yuan_text(owed_fen),
                "orders": money.pending_orders + money.undelivered_orders,
            },
        )
    _begin(work, user, BY_TIME)


def _begin(work: UnitOfWork, user: User, reason: str) -> None:
    rental = service.open_rental(work, user.id)
    if rental is not None:
        service.end(work, rental_id=rental.id, reason="deregistered")
    accounts.begin(work, user, reason=reason)
    _tell_no_more(work, user.id)
    auto_renewals.switch_off(work, user_id=user.id)
    leaving.forget_devices(work, user_id=user.id)
    destroying.destroy(work, user_id=user.id)
    tailnets.forget(work, user_id=user.id)
    logs.record_history(work, user_id=user.id, kind="user.deregistering", detail={"reason": reason})
    work.emit(UserDeregistering(user_id=user.id))
    work.wake("live")


def _tell_no_more(work: UnitOfWork, user_id: int) -> None:
    last = opening.last_rental(work, user_id)
    if last is not None:
        last.next_notice_at = None


def finish(work: UnitOfWork, *, user_id: int) -> bool:
    """Close an account whose relays are gone from every server; False while one is waited for."""
    user = users.lock(work, user_id)
    if user.status is not UserStatus.CLOSING:
        return False
    if leaving.waiting_for(work, user_id=user_id):
        return False
    leaving.destroy_keys(work, user_id=user_id)
    accounts.finish(work, user)
    access.end_sessions(work, user_id=user_id, reason="deregistered")
    logs.record_history(
        work, user_id=user_id, kind="user.deregistered", detail={"reason": user.status_reason}
    )
    work.emit(UserDeregistered(user_id=user_id))
    return True
