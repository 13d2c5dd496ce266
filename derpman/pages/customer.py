"""What a customer's pages show."""

from __future__ import annotations

from datetime import timedelta

from derpman.devices import picture as devices
from derpman.kit.work import UnitOfWork
from derpman.monitoring import queries as monitoring
from derpman.monitoring.service import hour_of
from derpman.notifications import queries as mails
from derpman.pages.schemas import (
    HomeOut,
    HourPart,
    LatencyOut,
    NoticePart,
    NoticesOut,
    RelayLatencyPart,
)
from derpman.rentals import picture as rentals
from derpman.rentals import service as rental_verbs
from derpman.traffic import queries as traffic
from derpman.traffic.schemas import PeriodPart, RelayPart

HOURS = 24


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


def latency(work: UnitOfWork, *, user_id: int) -> LatencyOut:
    """Return how far a customer's relays are: now, and hour by hour over the last day."""
    rental = rental_verbs.open_rental(work, user_id)
    slots = [] if rental is None else rentals.of(work, rental).slots
    slots = sorted(slots, key=lambda one: one.slot)
    last = hour_of(work.now)
    hours = [last - timedelta(hours=ago) for ago in reversed(range(HOURS))]
    ids = [one.server_id for one in slots]
    means = monitoring.hours(work, server_ids=ids, metric=rentals.LATENCY, hours=hours)
    return LatencyOut(
        relays=[
            RelayLatencyPart(
                slot=one.slot,
                latency_ms=one.latency_ms,
                hours=[
                    HourPart(at=at, mean=round(mean, 2))
                    for at in hours
                    if (mean := means.get((one.server_id, at))) is not None
                ],
            )
            for one in slots
        ]
    )


def notices(work: UnitOfWork, *, user_id: int, before: int | None, limit: int) -> NoticesOut:
    """Return what a customer was told by mail, newest first, but for codes he asked for."""
    found, next_before = mails.notices(work, user_id=user_id, before=before, limit=limit)
    return NoticesOut(
        notices=[NoticePart.model_validate(one) for one in found], next_before=next_before
    )
