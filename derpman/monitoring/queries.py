"""Selects behind charts of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from derpman.kit.work import UnitOfWork
from derpman.monitoring.models import MonitoringHour, MonitoringLog

SHOWN_IN = ZoneInfo("Asia/Shanghai")
FRESH = timedelta(minutes=5)


class Step(StrEnum):
    """How long a point of a trend is; days are Beijing's."""

    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True)
class Point:
    """One hour or day of one metric."""

    metric: str
    at: datetime
    samples: int
    mean: float
    most: float


def trend(
    work: UnitOfWork, *, server_id: int, prefix: str, since: datetime, step: Step
) -> list[Point]:
    """Return a server's metrics whose names begin so, by hour or day, oldest first."""
    rows = work.session.execute(
        select(
            MonitoringHour.metric,
            MonitoringHour.hour_at,
            MonitoringHour.samples,
            MonitoringHour.total,
            MonitoringHour.most,
        )
        .where(
            MonitoringHour.server_id == server_id,
            MonitoringHour.metric.startswith(prefix, autoescape=True),
            MonitoringHour.hour_at >= since,
        )
        .order_by(MonitoringHour.metric, MonitoringHour.hour_at)
    )
    sums: dict[tuple[str, datetime], tuple[int, float, float]] = {}
    for metric, hour_at, samples, total, most in rows:
        at = hour_at if step is Step.HOUR else _day_of(hour_at)
        before = sums.get((metric, at), (0, 0.0, 0.0))
        sums[metric, at] = (before[0] + samples, before[1] + total, max(before[2], most))
    return [
        Point(metric, at, samples, round(total / samples, 3), round(most, 3))
        for (metric, at), (samples, total, most) in sums.items()
    ]


def _day_of(instant: datetime) -> datetime:
    local = instant.astimezone(SHOWN_IN)
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def newest(work: UnitOfWork, *, server_ids: Sequence[int], metric: str) -> dict[int, float]:
    """Return the last value of a metric of each server, unless it is older than five minutes."""
    last = (
        select(func.max(MonitoringLog.id))
        .where(
            MonitoringLog.server_id.in_(server_ids),
            MonitoringLog.metric == metric,
            MonitoringLog.timestamp > work.now - FRESH,
        )
        .group_by(MonitoringLog.server_id)
    )
    rows = work.session.execute(
        select(MonitoringLog.server_id, MonitoringLog.value).where(MonitoringLog.id.in_(last))
    )
    return {row.server_id: row.value for row in rows}
