"""What a customer's pages show."""

from __future__ import annotations

from derpman.devices import picture as devices
from derpman.kit.work import UnitOfWork
from derpman.pages.schemas import HomeOut
from derpman.rentals import picture as rentals
from derpman.rentals import service as rental_verbs
from derpman.traffic import queries as traffic
from derpman.traffic.schemas import PeriodPart, RelayPart


def home(work: UnitOfWork, *, user_id: int) -> HomeOut:
    """Return a customer's rental, relays, devices and traffic as they are now."""
    rental = rental_verbs.open_rental(work, user_id)
    period = traffic.period_of_rental(work, rental)
    relays = [] if rental is None else traffic.relays_of(work, rental_id=rental.id)
    mine = devices.devices(work, user_id=user_id)
    return HomeOut(
        rental=None if rental is None else rentals.of(work, rental),
        devices=mine.devices,
        device_limit=mine.limit,
        knocks=devices.waiting(work, user_id=user_id),
        pairing=devices.pairing(work, user_id=user_id),
        period=None if period is None else PeriodPart.model_validate(period),
        runs_out_at=None if period is None else traffic.run_out(work, period),
        relays=[RelayPart.model_validate(one) for one in relays],
        rate_bytes_per_second=sum(one.rate_bytes_per_second for one in relays),
    )
