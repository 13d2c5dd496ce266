"""Mails about rentals, queued by the handlers of their events."""

from __future__ import annotations

from typing import Any

from derpman.containers import service as containers
from derpman.finance import service as finance
from derpman.kit.work import UnitOfWork
from derpman.notifications import service as notifications
from derpman.rentals import service
from derpman.servers import service as servers
from derpman.users import service as users
from derpman.users.states import UserStatus


def tell_activated(work: UnitOfWork, *, rental_id: int, user_id: int) -> None:
    """Tell the customer what he has now; nothing when the rental was ended meanwhile."""
    rental = service.get(work, rental_id)
    placements = containers.placements_of(work, rental_id=rental_id)
    if not placements:
        return
    regions = servers.regions_of(work, server_ids=[one.server_id for one in placements])
    params = {
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
            for one in placements
        ],
    }
    _queue(work, user_id, "rental_activated", params, once_key=f"rental_activated:{rental_id}")


def tell_ended(work: UnitOfWork, *, rental_id: int, user_id: int) -> None:
    """Tell the customer that his rental is over, and why."""
    rental = service.get(work, rental_id)
    params = {
        "plan": finance.plan(work, rental.plan_id).name,
        "ended_at": rental.ended_at,
        "reason": rental.end_reason,
    }
    _queue(work, user_id, "rental_ended", params, once_key=f"rental_ended:{rental_id}")


def tell_suspended(work: UnitOfWork, *, user_id: int) -> None:
    """Tell a user that he is suspended, and why; nothing when he was reinstated meanwhile."""
    user = users.get(work, user_id)
    if user.status is UserStatus.SUSPENDED:
        _queue(work, user_id, "user_suspended", {"reason": user.status_reason})


def tell_reinstated(work: UnitOfWork, *, user_id: int) -> None:
    """Tell a user that he is reinstated."""
    if users.get(work, user_id).status is UserStatus.ACTIVE:
        _queue(work, user_id, "user_reinstated", {})


def _queue(
    work: UnitOfWork,
    user_id: int,
    template: str,
    params: dict[str, Any],
    *,
    once_key: str | None = None,
) -> None:
    user = users.get(work, user_id)
    notifications.queue_mail(
        work,
        template=template,
        address=user.email,
        locale=user.locale,
        user_id=user_id,
        params={"username": user.username, **params},
        once_key=once_key,
    )
