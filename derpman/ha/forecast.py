"""When a server is full and its traffic used up, if things go on as in the last days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from derpman.kit.work import UnitOfWork
from derpman.monitoring import queries as monitoring
from derpman.monitoring.service import hour_of
from derpman.servers.models import Server
from derpman.traffic.calendar import month_of

LOOKS_BACK = (timedelta(days=7), timedelta(days=3), timedelta(days=1))
"""Growth is reckoned from the first of these that there are figures of."""
HORIZON = timedelta(days=365)
"""Further away nothing is foretold."""
LEAST_OF_MONTH = timedelta(days=1)
"""So long a month must have lasted before its use says anything of its rest."""


@dataclass(frozen=True)
class Forecast:
    """Users more a day, and when what ends at this rate; None: not within a year."""

    growth_per_day: float
    full_at: datetime | None
    allowance_ends_at: datetime | None


def of_servers(work: UnitOfWork, servers: Sequence[Server]) -> dict[int, Forecast]:
    """Return what is foretold of each server, with one statement."""
    growth = _growth(work, servers)
    return {
        one.id: Forecast(
            growth_per_day=growth.get(one.id, 0.0),
            full_at=full_at(
                work.now,
                users=one.relay_count,
                capacity=one.capacity,
                growth_per_day=growth.get(one.id, 0.0),
            ),
            allowance_ends_at=_allowance_ends_at(work.now, one),
        )
        for one in servers
    }


def full_at(now: datetime, *, users: int, capacity: int, growth_per_day: float) -> datetime | None:
    """Return when so many users more a day have taken every place; now when they have already."""
    room = capacity - users
    if room <= 0:
        return now
    if growth_per_day * HORIZON.days < room:
        return None
    return now + timedelta(days=room / growth_per_day)


def _growth(work: UnitOfWork, servers: Sequence[Server]) -> dict[int, float]:
    hours = [hour_of(work.now - back) for back in LOOKS_BACK]
    known: Mapping[tuple[int, datetime], float] = monitoring.hours(
        work, server_ids=[one.id for one in servers], metric="users", hours=hours
    )
    found: dict[int, float] = {}
    for one in servers:
        for back, hour in zip(LOOKS_BACK, hours, strict=True):
            before = known.get((one.id, hour))
            if before is not None:
                found[one.id] = round((one.relay_count - before) / back.days, 2)
                break
    return found


def _allowance_ends_at(now: datetime, server: Server) -> datetime | None:
    """Return when the month's traffic is used up, if that is before the provider counts anew."""
    allowance = server.monthly_allowance_bytes
    if not allowance:
        return None
    left = allowance - server.month_traffic_bytes
    if left <= 0:
        return now
    begun = month_of(now, server.billing_day)
    passed = now - begun
    if passed < LEAST_OF_MONTH or server.month_traffic_bytes == 0:
        return None
    ends_at = now + passed * (left / server.month_traffic_bytes)
    return ends_at if ends_at < month_of(begun + timedelta(days=35), server.billing_day) else None
