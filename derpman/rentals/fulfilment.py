"""What a paid order becomes: a rental, more of it, or its money back in the wallet."""

from __future__ import annotations

from derpman.containers.errors import NotEnoughServers
from derpman.finance import orders, settling
from derpman.finance.models import OrderKind
from derpman.finance.states import OrderStatus
from derpman.kit.errors import DomainError
from derpman.kit.work import UnitOfWork
from derpman.rentals import opening, renewals, service
from derpman.rentals.terms import Cause


def fulfil(work: UnitOfWork, *, order_id: int, region_base: int) -> None:
    """Deliver a paid order, once; what cannot be delivered is paid back at once.

    One that was delivered, paid back or is not of a rental stays as it is.
    """
    order = orders.lock(work, order_id)
    if order.status is not OrderStatus.PAID or order.kind is not OrderKind.RENTAL:
        return
    had_one = opening.last_rental(work, order.user_id) is not None
    try:
        with work.session.begin_nested():  # what a refusal has begun is taken back
            rental_id = renewals.renew(
                work,
                user_id=order.user_id,
                plan_id=order.plan_id or 0,
                days=order.duration_days,
                cause=Cause(order_id=order.id),
                region_base=region_base,
            ).id
    except NotEnoughServers as short:
        service.report_shortage(work, wanted=short.wanted, fit=short.fit)
        settling.give_up(work, order_id=order_id, reason=short.message)
    except DomainError as refused:
        settling.give_up(work, order_id=order_id, reason=refused.message)
    else:
        settling.deliver(
            work,
            order_id=order_id,
            action="renew" if had_one else "complete",
            rental_id=rental_id,
        )
