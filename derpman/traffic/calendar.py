"""When a rental's traffic begins anew, and when a provider's month does."""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta, timezone

PERIOD = timedelta(days=30)
TOLERANCE = timedelta(hours=1)
"""A plan of 30 days has one period, also when its first moments were spent on activating it."""
BEIJING = timezone(timedelta(hours=8))


def periods(begins_at: datetime, ends_at: datetime) -> list[tuple[datetime, datetime]]:
    """Cut a span into periods of 30 days; what is left over is one of its own."""
    cut: list[tuple[datetime, datetime]] = []
    while ends_at - begins_at > PERIOD + TOLERANCE:
        cut.append((begins_at, begins_at + PERIOD))
        begins_at += PERIOD
    if ends_at > begins_at:
        cut.append((begins_at, ends_at))
    return cut


def month_of(instant: datetime, billing_day: int) -> datetime:
    """Return when the provider's month began that an instant is in (midnight in Beijing)."""
    local = instant.astimezone(BEIJING)
    begins_at = _billing(local.year, local.month, billing_day)
    if begins_at > instant:
        year, month = (local.year, local.month - 1) if local.month > 1 else (local.year - 1, 12)
        begins_at = _billing(year, month, billing_day)
    return begins_at


def _billing(year: int, month: int, day: int) -> datetime:
    last = calendar.monthrange(year, month)[1]
    return datetime(year, month, min(day, last), tzinfo=BEIJING)


def hour_of(instant: datetime) -> datetime:
    """Return when the hour began that an instant is in."""
    return instant.replace(minute=0, second=0, microsecond=0)


def day_of(instant: datetime) -> datetime:
    """Return when the day of Beijing time began that an instant is in."""
    return instant.astimezone(BEIJING).replace(hour=0, minute=0, second=0, microsecond=0)
