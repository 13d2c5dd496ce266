"""Selects behind charts of metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from derpman.kit.work import UnitOfWork
from derpman.monitoring.models import SYSTEM, MonitoringFive, MonitoringHour, MonitoringLog

SHOWN_IN = ZoneInfo("Asia/Shanghai")
FRESH = timedelta(minutes=5)


class Step(StrEnum):
    """How long a point of a trend is; days and months are Beijing's."""

    FIVE = "five_minutes"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True)
class Point:
    """One hour or day of one metric."""

    metric: str
    at: datetime
    samples: int
    mean: float
    most: float


Readings = dict[tuple[int, str], tuple[float, datetime]]
"""(server, metric) to a value and when it was read."""


def trend(
    work: UnitOfWork, *, server_id: int, prefix: str, since: datetime, step: Step
) -> list[Point]:
    """Return a server's metrics whose names begin so, by the step, oldest first."""
    table, at = _summed(step)
    return _points(
        work,
        table,
        at,
        step,
        table.server_id == server_id,
        table.metric.startswith(prefix, autoescape=True),
        at >= since,
    )


def trends(
    work: UnitOfWork,
    *,
    server_id: int | None,
    metrics: Sequence[str],
    since: datetime,
    step: Step,
) -> list[Point]:
    """Return metrics of a server, or of the system itself, by the step, oldest first."""
    table, at = _summed(step)
    return _points(
        work,
        table,
        at,
        step,
        table.server_id == (server_id or SYSTEM),
        table.metric.in_(metrics),
        at >= since,
    )


def _summed(step: Step) -> tuple[type[MonitoringFive] | type[MonitoringHour], Any]:
    if step is Step.FIVE:
        return MonitoringFive, MonitoringFive.at
    return MonitoringHour, MonitoringHour.hour_at


def _points(
    work: UnitOfWork,
    table: type[MonitoringFive] | type[MonitoringHour],
    column: Any,
    step: Step,
    *conditions: Any,
) -> list[Point]:
    rows = work.session.execute(
        select(table.metric, column, table.samples, table.total, table.most)
        .where(*conditions)
        .order_by(table.metric, column)
    )
    sums: dict[tuple[str, datetime], tuple[int, float, float]] = {}
    for metric, instant, samples, total, most in rows:
        at = _begin_of(instant, step)
        before = sums.get((metric, at), (0, 0.0, -math.inf))
        sums[metric, at] = (before[0] + samples, before[1] + total, max(before[2], most))
    return [
        Point(metric, at, samples, round(total / samples, 3), round(most, 3))
        for (metric, at), (samples, total, most) in sums.items()
    ]


def _begin_of(instant: datetime, step: Step) -> datetime:
    if step in (Step.FIVE, Step.HOUR):
        return instant
    local = instant.astimezone(SHOWN_IN).replace(hour=0, minute=0, second=0, microsecond=0)
    return local if step is Step.DAY else local.replace(day=1)


def readings(work: UnitOfWork, *, server_ids: Sequence[int], metrics: Sequence[str]) -> Readings:
    """Return the last value of metrics of each server with its time, within five minutes."""
    last = (
        select(func.max(MonitoringLog.id))
        .where(
            MonitoringLog.server_id.in_(server_ids),
            MonitoringLog.metric.in_(metrics),
            MonitoringLog.timestamp > work.now - FRESH,
        )
        .group_by(MonitoringLog.server_id, MonitoringLog.metric)
    )
    rows = work.session.execute(
        select(
            MonitoringLog.server_id,
            MonitoringLog.metric,
            MonitoringLog.value,
            MonitoringLog.timestamp,
        ).where(MonitoringLog.id.in_(last))
    )
    return {
        (row.server_id, row.metric): (row.value, row.timestamp)
        for row in rows
        if row.server_id is not None
    }


def hours(
    work: UnitOfWork, *, server_ids: Sequence[int], metric: str, hours: Sequence[datetime]
) -> dict[tuple[int, datetime], float]:
    """Return the mean of a metric of servers in these hours, by server and hour, where known."""
    rows = work.session.execute(
        select(
            MonitoringHour.server_id,
            MonitoringHour.hour_at,
            MonitoringHour.total / MonitoringHour.samples,
        ).where(
            MonitoringHour.server_id.in_(server_ids),
            MonitoringHour.metric == metric,
            MonitoringHour.hour_at.in_(hours),
        )
    )
    return {(server_id, at): mean for server_id, at, mean in rows}


def newest(work: UnitOfWork, *, server_ids: Sequence[int], metric: str) -> dict[int, float]:
    """Return the last value of a metric of each server, unless it is older than five minutes."""
    found = readings(work, server_ids=server_ids, metrics=[metric])
    return {server_id: value for (server_id, _), (value, _at) in found.items()}
