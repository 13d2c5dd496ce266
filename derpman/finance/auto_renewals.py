"""Who wants his wallet to renew his rental, and when that is looked at; `rentals` does it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from derpman.finance import service
from derpman.finance.models import AutoRenewal
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.users import service as users


def of(work: UnitOfWork, user_id: int) -> AutoRenewal | None:
    """Return a customer's wish, or None when he has none."""
    return work.session.get(AutoRenewal, user_id)


def switch_on(work: UnitOfWork, *, user_id: int, plan_id: int | None = None) -> AutoRenewal:
    """Renew from the wallet from now on, with a plan or (None) the one that he has."""
    users.refuse_suspended(users.lock(work, user_id))
    if plan_id is not None:
        service.plan_on_sale(work, plan_id)
    wish = of(work, user_id)
    if wish is None:
        wish = AutoRenewal(user_id=user_id, created_at=work.now)
        work.session.add(wish)
    wish.plan_id, wish.check_at = plan_id, work.now
    work.session.flush()
    _record(work, user_id, "on", plan_id)
    return wish


def switch_off(work: UnitOfWork, *, user_id: int) -> None:
    """Renew nothing any more."""
    users.lock(work, user_id)
    wish = of(work, user_id)
    if wish is not None:
        work.session.delete(wish)
        work.session.flush()
        _record(work, user_id, "off", None)


def _record(work: UnitOfWork, user_id: int, state: str, plan_id: int | None) -> None:
    logs.record_user(
        work, user_id=user_id, action=f"auto_renewal.{state}", detail={"plan_id": plan_id}
    )


def due(work: UnitOfWork, *, limit: int) -> Sequence[int]:
    """Return the users whose rental is to be looked at now, the longest due first."""
    return work.session.scalars(
        select(AutoRenewal.user_id)
        .where(AutoRenewal.check_at <= work.now)
        .order_by(AutoRenewal.check_at)
        .limit(limit)
    ).all()


def look_again(work: UnitOfWork, wish: AutoRenewal, at: datetime) -> None:
    """Say when a customer's rental is looked at next."""
    wish.check_at = at
    work.session.flush()
