"""Making good: money or days for one customer, or for all who have relays on a server."""

from __future__ import annotations

from derpman.containers import queries as container_queries
from derpman.containers.states import Wanted
from derpman.finance import orders, wallet
from derpman.kit.errors import DomainError
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.rentals import renewals, service
from derpman.rentals.terms import Cause
from derpman.servers import service as servers
from derpman.users import service as users

MOST_USERS = 20_000


def customers_of(work: UnitOfWork, *, server_id: int) -> list[int]:
    """Return the customers with a relay on a server, in the order of their ids."""
    servers.get(work, server_id)
    placed, _ = container_queries.placements(
        work, server_id=server_id, wanted=Wanted.RUNNING, before=None, limit=MOST_USERS
    )
    return sorted({one.user_id for one in placed})


def give(
    work: UnitOfWork,
    *,
    user_id: int,
    fen: int | None,
    days: int | None,
    reason: str,
    request_key: str,
) -> bool:
    """Give a customer money to spend here, or days, once for a key; False: nothing to extend."""
    if days is not None:
        return _give_days(work, user_id, days, reason, request_key)
    wallet.compensate(work, user_id=user_id, fen=fen or 0, reason=reason, request_key=request_key)
    return True


def _give_days(work: UnitOfWork, user_id: int, days: int, reason: str, request_key: str) -> bool:
    users.lock(work, user_id)
    rental = service.open_rental(work, user_id)
    if rental is None:
        return False
    key = f"days-{request_key}"[:64]
    if orders.by_key(work, user_id=user_id, request_key=key) is not None:
        return True
    try:
        with work.session.begin_nested():
            order = orders.record_gift(
                work,
                user_id=user_id,
                plan_id=rental.plan_id,
                days=days,
                reason=reason,
                request_key=key,
            )
            renewals.renew(
                work,
                user_id=user_id,
                plan_id=rental.plan_id,
                days=days,
                cause=Cause(order_id=order.id, reason=reason),
            )
    except DomainError:
        return False
    return True


def record(
    work: UnitOfWork, *, server_id: int, given: int, fen: int | None, days: int | None, reason: str
) -> None:
    """Note in the operation log that all of a server's customers were compensated."""
    logs.record(
        work,
        action="server.compensate",
        object_type="server",
        object_id=server_id,
        after={"users": given, "fen": fen, "days": days, "reason": reason},
    )
