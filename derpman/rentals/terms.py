"""What a rental promises at a moment, of all that was bought for it.

Each purchase is a term: a span of time with the plan's promises copied. The spans follow each
other. At any moment the best of what is not over yet holds, each promise for itself: a bigger plan
bought later holds at once, a smaller one from the end of what was bought before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from derpman.containers import service as containers
from derpman.finance.models import OverQuota, Plan
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.rentals.events import RentalTermsChanged
from derpman.rentals.models import Rental, RentalTerm
from derpman.rentals.states import RentalStatus
from derpman.users import service as users


@dataclass(frozen=True)
class Cause:
    """What a rental or renewal rests on: a serial, an order, or what an admin wrote."""

    serial_id: int | None = None
    order_id: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Promise:
    """What holds: bytes per 30 days, bytes per second (0: no limit), devices."""

    plan_id: int
    traffic_bytes: int
    rate_bytes_per_second: int
    device_limit: int
    over_quota: OverQuota
    throttle_bytes_per_second: int


def of_rental(work: UnitOfWork, rental_id: int) -> list[RentalTerm]:
    """Return what was bought for a rental, in the order of the spans."""
    found = select(RentalTerm).where(RentalTerm.rental_id == rental_id)
    return list(work.session.scalars(found.order_by(RentalTerm.number)))


def of_order(work: UnitOfWork, order_id: int) -> RentalTerm | None:
    """Return what an order bought, if it did."""
    return work.session.scalar(select(RentalTerm).where(RentalTerm.order_id == order_id))


def of_serial(work: UnitOfWork, serial_id: int) -> RentalTerm | None:
    """Return what a serial bought, or None when it is not used."""
    return work.session.scalar(select(RentalTerm).where(RentalTerm.serial_id == serial_id))


def add(
    work: UnitOfWork, rental: Rental, plan: Plan, cause: Cause, *, until: datetime
) -> RentalTerm:
    """Write down what was bought: a span from the end of the last one to `until`."""
    known = of_rental(work, rental.id)
    term = RentalTerm(
        rental_id=rental.id,
        user_id=rental.user_id,
        number=len(known) + 1,
        plan_id=plan.id,
        serial_id=cause.serial_id,
        order_id=cause.order_id,
        reason=cause.reason,
        actor_name=work.actor.name,
        starts_at=known[-1].ends_at if known else rental.started_at,
        ends_at=until,
        traffic_bytes=plan.traffic_bytes,
        rate_bytes_per_second=plan.rate_bytes_per_second,
        device_limit=plan.device_limit,
        over_quota=plan.over_quota,
        throttle_bytes_per_second=plan.throttle_bytes_per_second,
        created_at=work.now,
    )
    work.session.add(term)
    work.session.flush()
    return term


def at(terms: Iterable[RentalTerm], instant: datetime) -> Promise | None:
    """Return what holds at an instant, of what is bought now; None when all of it is over."""
    left = [term for term in terms if term.ends_at > instant]
    if not left:
        return None
    throttled = [one for one in left if one.over_quota is OverQuota.THROTTLE]
    return Promise(
        plan_id=left[0].plan_id,
        traffic_bytes=max(one.traffic_bytes for one in left),
        rate_bytes_per_second=_fastest(left),
        device_limit=max(one.device_limit for one in left),
        over_quota=OverQuota.THROTTLE if throttled else OverQuota.STOP,
        throttle_bytes_per_second=max(one.throttle_bytes_per_second for one in (throttled or left)),
    )


def _fastest(terms: Sequence[RentalTerm]) -> int:
    rates = [one.rate_bytes_per_second for one in terms]
    return 0 if 0 in rates else max(rates)


def settle(work: UnitOfWork, rental: Rental) -> bool:
    """Write down on a rental what holds now; tell whether that is anything else than before.

    Relays get their speed; who calls this has locked the user. Traffic follows the event.
    """
    known = of_rental(work, rental.id)
    now = at(known, work.now)
    if now is None or rental.status is RentalStatus.ENDED:
        rental.terms_until = None
        return False
    left = [term for term in known if term.ends_at > work.now]
    rental.terms_until = left[0].ends_at if len(left) > 1 else None
    before = held(rental)
    for name, value in vars(now).items():
        setattr(rental, name, value)
    work.session.flush()
    if now == before:
        return False
    if now.rate_bytes_per_second != before.rate_bytes_per_second:
        containers.extend(
            work,
            rental_id=rental.id,
            expires_at=rental.expires_at,
            rate_bytes_per_second=rental.rate_bytes_per_second,
        )
    return True


def held(rental: Rental) -> Promise:
    """Return what is written down on a rental."""
    return Promise(**{name: getattr(rental, name) for name in Promise.__dataclass_fields__})


def change_due(work: UnitOfWork, *, rental_id: int) -> None:
    """Have a smaller plan hold once what was bought before it is over; nothing when it is not."""
    rental = work.session.get_one(Rental, rental_id)
    users.lock(work, rental.user_id)
    work.session.refresh(rental)
    if rental.terms_until is None or rental.terms_until > work.now:
        return
    before = held(rental)
    if not settle(work, rental):
        return
    logs.record_history(
        work,
        user_id=rental.user_id,
        kind="rental.terms_changed",
        rental_id=rental.id,
        detail={
            name: [getattr(before, name), getattr(rental, name)]
            for name in Promise.__dataclass_fields__
            if getattr(before, name) != getattr(rental, name)
        },
    )
    work.emit(RentalTermsChanged(rental_id=rental.id, user_id=rental.user_id))
