"""An admin's word that a customer is not to be renewed, at once or when his rental expires."""

from __future__ import annotations

from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.rentals import service
from derpman.users import closing as accounts
from derpman.users import service as users


def forbid_renewal(work: UnitOfWork, *, user_id: int, reason: str, is_at_once: bool) -> None:
    """Let neither the customer nor anything automatic renew, until the mark is lifted.

    `is_at_once` ends what runs now; otherwise it runs until it expires.
    """
    user = users.lock(work, user_id)
    accounts.mark(work, user, reason=reason)
    rental = service.open_rental(work, user_id)
    logs.record_history(
        work,
        user_id=user_id,
        kind="rental.no_renewal",
        rental_id=None if rental is None else rental.id,
        detail={"reason": reason, "at_once": is_at_once},
    )
    if rental is not None and is_at_once:
        service.end(work, rental_id=rental.id, reason=reason)


def allow_renewal(work: UnitOfWork, *, user_id: int) -> None:
    """Lift the mark; nothing happens when there is none."""
    user = users.lock(work, user_id)
    if user.no_renewal_at is not None:
        accounts.unmark(work, user)
        logs.record_history(work, user_id=user_id, kind="rental.renewal_allowed")
