"""Renewal from the wallet, for customers who switched it on."""

from __future__ import annotations

from datetime import datetime, timedelta

from derpman.finance import auto_renewals, orders, wallet
from derpman.finance import service as finance
from derpman.finance.errors import NotEnoughMoney
from derpman.finance.models import AutoRenewal, Method, Plan
from derpman.kit.errors import DomainError
from derpman.kit.money import yuan_text
from derpman.kit.work import UnitOfWork
from derpman.rentals import service
from derpman.rentals.models import Rental
from derpman.rentals.states import RentalStatus
from derpman.users import messages
from derpman.users import service as users

RENEWED_BEFORE = timedelta(hours=24)
TOLD_BEFORE = timedelta(hours=72)
"""When a wallet that holds too little is told of; once more when the renewal fails."""
AGAIN = timedelta(hours=1)


def look_at(work: UnitOfWork, *, user_id: int) -> None:
    """Renew a customer's rental when it is time, or tell him that his wallet holds too little."""
    user = users.lock(work, user_id)
    wish = auto_renewals.of(work, user_id)
    if wish is None or wish.check_at > work.now:
        return
    rental = service.open_rental(work, user_id)
    if rental is None or rental.status is not RentalStatus.ACTIVE:
        auto_renewals.look_again(work, wish, work.now + AGAIN)
        return
    left = rental.expires_at - work.now
    if left > TOLD_BEFORE:
        auto_renewals.look_again(work, wish, rental.expires_at - TOLD_BEFORE)
        return
    plan = _plan(work, wish, rental)
    if left > RENEWED_BEFORE:
        if wallet.of(work, user_id).total_fen < plan.price_fen:
            _tell(work, rental, plan, "early")
        auto_renewals.look_again(work, wish, rental.expires_at - RENEWED_BEFORE)
        return
    auto_renewals.look_again(work, wish, work.now + AGAIN)
    try:
        users.refuse_unrenewable(user)
        with work.session.begin_nested():
            orders.place(
                work,
                user_id=user_id,
                request_key=_key(rental),
                method=Method.WALLET,
                plan_id=plan.id,
            )
    except NotEnoughMoney:
        _tell(work, rental, plan, "failed")
    except DomainError:
        return  # he may not renew now: the site tells him why when he tries himself


def _key(rental: Rental) -> str:
    """One renewal for one end of a rental, however often it is looked at."""
    return f"auto-{rental.id}-{_stamp(rental.expires_at)}"


def _stamp(instant: datetime) -> str:
    return instant.strftime("%Y%m%d%H%M%S")


def _plan(work: UnitOfWork, wish: AutoRenewal, rental: Rental) -> Plan:
    """Return the plan to renew with; for one that is not sold any more, one of its length."""
    plan = finance.plan(work, wish.plan_id or rental.plan_id)
    if plan.retired_at is None:
        return plan
    try:
        return finance.plan_of_days(work, plan.duration_days)
    except DomainError:
        return plan


def _tell(work: UnitOfWork, rental: Rental, plan: Plan, when: str) -> None:
    user = users.get(work, rental.user_id)
    messages.mail(
        work,
        user.id,
        "renewal_unaffordable",
        params={
            "plan": plan.name,
            "price": yuan_text(plan.price_fen),
            "balance": yuan_text(wallet.of(work, user.id).total_fen),
            "expires_at": rental.expires_at,
        },
        once_key=f"unaffordable:{rental.id}:{_stamp(rental.expires_at)}:{when}",
    )
