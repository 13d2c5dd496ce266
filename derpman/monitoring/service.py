"""Verbs on metrics: write down what was measured, forget what is old."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select

from derpman.kit.db import Merge, upsert
from derpman.kit.work import UnitOfWork
from derpman.monitoring.models import MonitoringHour, MonitoringLog

PANEL = "latency.panel"
"""`latency.panel.node|tcp|tls|stun`, and `latency.server.<id>.tcp|stun`, in milliseconds."""
ROWS = 1000
KEEP = timedelta(days=30)
FORGET_AT_ONCE = 5000


@dataclass(frozen=True)
class Sample:
    """One value that was measured."""

    server_id: int
    metric: str
    value: float


def seen_by(observer_id: int, what: str) -> str:
    """Return the name of a latency that another server measured."""
    return f"latency.server.{observer_id}.{what}"


def record(work: UnitOfWork, samples: Sequence[Sample]) -> None:
    """Write values down, and into their hours: two statements for each thousand."""
    rows = [
        {
            "server_id": one.server_id,
            "metric": one.metric,
            "value": one.value,
            "timestamp": work.now,
        }
        for one in samples
    ]
    for start in range(0, len(rows), ROWS):
        work.session.execute(insert(MonitoringLog), rows[start : start + ROWS])
    hours: dict[tuple[int, str], list[float]] = {}
    for one in samples:
        hours.setdefault((one.server_id, one.metric), []).append(one.value)
    hour_at = hour_of(work.now)
    upsert(
        work.session,
        MonitoringHour,
        ("server_id", "metric", "hour_at"),
        {"samples": Merge.ADD, "total": Merge.ADD, "most": Merge.MOST},
        [
            (server_id, metric, hour_at, len(found), float(sum(found)), float(max(found)))
            for (server_id, metric), found in hours.items()
        ],
    )


def hour_of(instant: datetime) -> datetime:
    """Return when the hour of an instant began."""
    return instant.replace(minute=0, second=0, microsecond=0)


def forget_old(work: UnitOfWork) -> int:
    """Delete a batch of values older than 30 days, whose hours stay; return how many."""
    ids = work.session.scalars(
        select(MonitoringLog.id)
        .where(MonitoringLog.timestamp < work.now - KEEP)
        .order_by(MonitoringLog.timestamp)
        .limit(FORGET_AT_ONCE)
    ).all()
    if ids:
        work.session.execute(delete(MonitoringLog).where(MonitoringLog.id.in_(ids)))
    return len(ids)
