"""The only place that reads the wall clock."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current instant as aware UTC."""
    return datetime.now(UTC)
