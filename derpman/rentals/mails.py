"""Mails about rentals, queued by the handlers of their events."""

from __future__ import annotations

from typing import Any

from derpman.acl import service as acl
from derpman.containers import service as containers
from derpman.containers.successors import newest
from derpman.finance import service as finance
from derpman.kit.work import UnitOfWork
from derpman.rentals import closing, notices, service, terms
from derpman.rentals.models import Rental, RentalTerm
from derpman.servers import service as servers
from derpman.users import messages
from derpman.users import service as users
from derpman.users.models import User
from derpman.users.states import UserStatus


def tell_activated(work: UnitOfWork, *, rental_id: int, user_id: int) -> None:
    """Tell the customer what he has now; nothing when the rental was ended meanwhile."""
    rental = service.get(work, rental_id)
    placements = containers.placements_of(work, rental_id=rental_id)
    if not placements:
        return
    regions = servers.regions_of(work, server_ids=[one.server_id for one in placements])
    params: dict[str, Any] = {
        "plan": finance.plan(work, rental.plan_id).name,
        "expires_at": rental.expires_at,
        "device_limit": rental.device_limit,
        "relays": [
            {
                "slot": one.slot,
                "region": regions[one.server_id],
                "address": one.address,
                "port": one.port,
            }
            for one in newest(placements)
        ],
    }
    template = "rental_activated"
    if rental.resumes_id is not None:
        version = acl.last(work, user_id=user_id)
        goes_on = version is not None and version.created_at < rental.started_at
        template, params = "rental_resumed", {**params, "acl_goes_on": goes_on}
    messages.mail(work, user_id, template, params, once_key=f"rental_activated:{rental_id}")


def tell_renewed(work: UnitOfWork, *, rental_id: int, user_id: int, term_id: int) -> None:
    """Tell the customer until when his rental runs now, and what will change before."""
    rental = service.get(work, rental_id)
    term = work.session.get_one(RentalTerm, term_id)
    changes = terms.at(terms.of_rental(work, rental_id), rental.terms_until or work.now)
    params = {
        "plan": finance.plan(work, term.plan_id).name,
        "expires_at": rental.expires_at,
        "reason": term.reason or "",
        "changes_at": rental.terms_until if changes is not None else None,
        "device_limit": rental.device_limit,
        "next_device_limit": rental.device_limit if changes is None else changes.device_limit,
    }
    messages.mail(work, user_id, "rental_renewed", params, once_key=f"rental_renewed:{term_id}")


def tell_ended(work: UnitOfWork, *, rental_id: int, user_id: int) -> None:
    """Tell the customer that his rental is over, and why."""
    rental = service.get(work, rental_id)
    user = users.get(work, user_id)
    is_over = service.open_rental(work, user_id) is None
    params = {
        "plan": finance.plan(work, rental.plan_id).name,
        "ended_at": rental.ended_at,
        "reason": "" if rental.end_reason == service.EXPIRED else rental.end_reason,
        "can_renew": is_over and users.is_renewable(user),
        "closes_at": user.deregister_at if users.is_renewable(user) else None,
    }
    messages.mail(work, user_id, "rental_ended", params, once_key=f"rental_ended:{rental_id}")


def send_notice(work: UnitOfWork, *, rental_id: int) -> None:
    """Send what is due of a rental's notices; what was sent is not sent again."""
    rental = service.get(work, rental_id)
    user = users.lock(work, rental.user_id)
    work.session.refresh(rental)
    kind = notices.take_due(work, rental, user)
    if kind is None or user.status is not UserStatus.ACTIVE:
        return
    if kind in notices.BEFORE_EXPIRY:
        tell_expiring(work, rental, user)
    else:
        tell_closing(work, rental, user)


def tell_expiring(work: UnitOfWork, rental: Rental, user: User) -> None:
    """Tell the customer when his rental expires; called once for each notice that is due."""
    params = {
        "plan": finance.plan(work, rental.plan_id).name,
        "expires_at": rental.expires_at,
        "can_renew": users.is_renewable(user),
    }
    messages.mail(work, user.id, "rental_expiring", params)


def tell_closing(work: UnitOfWork, rental: Rental, user: User) -> None:
    """Tell the customer when his account will be deregistered; called as above."""
    params = {
        "ended_at": rental.ended_at,
        "closes_at": user.deregister_at,
        "can_renew": users.is_renewable(user),
    }
    messages.mail(work, user.id, "account_closing", params)


def tell_suspended(work: UnitOfWork, *, user_id: int) -> None:
    """Tell a user that he is suspended, and why; nothing when he was reinstated meanwhile."""
    user = users.get(work, user_id)
    if user.status is UserStatus.SUSPENDED:
        messages.mail(work, user_id, "user_suspended", {"reason": user.status_reason})


def tell_reinstated(work: UnitOfWork, *, user_id: int) -> None:
    """Tell a user that he is reinstated."""
    if users.get(work, user_id).status is UserStatus.ACTIVE:
        messages.mail(work, user_id, "user_reinstated", {})


def tell_deregistered(work: UnitOfWork, *, user_id: int) -> None:
    """Tell whose account it was that it is closed."""
    is_automatic = users.get(work, user_id).status_reason != closing.BY_HIMSELF
    params = {"is_automatic": is_automatic}
    messages.mail(work, user_id, "account_closed", params, once_key=f"account_closed:{user_id}")
