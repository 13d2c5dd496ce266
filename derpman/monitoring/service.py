"""Verbs on metrics: write down what was measured, forget what is old."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select

from derpman.kit.db import Merge, upsert
from derpman.kit.work import UnitOfWork
from derpman.monitoring.models import SYSTEM, MonitoringFive, MonitoringHour, MonitoringLog

PANEL = "latency.panel"
"""`latency.panel.node|tcp|tls|stun`, and `latency.server.<id>.tcp|stun`, in milliseconds."""
ROWS = 1000
FIVE_MINUTES = 5
KEEP = timedelta(days=2)
KEEP_FIVES = timedelta(days=14)
KEEP_HOURS = timedelta(days=400)
FORGET_AT_ONCE = 5000
MERGED = {"samples": Merge.ADD, "total": Merge.ADD, "most": Merge.MOST}


@dataclass(frozen=True)
class Sample:
    """One value that was measured."""

    server_id: int | None
    """None: of the system itself."""
    metric: str
    value: float
    is_counted: bool = False
    """A counter's reading, from which rates are reckoned: means of it say nothing."""


def seen_by(observer_id: int, what: str) -> str:
    """Return the name of a latency that another server measured."""
    return f"latency.server.{observer_id}.{what}"


def record(work: UnitOfWork, samples: Sequence[Sample]) -> None:
    """Write values down, and into their spans: three statements for each thousand."""
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
    sums: dict[tuple[int, str], list[float]] = {}
    for one in samples:
        if not one.is_counted:
            sums.setdefault((one.server_id or SYSTEM, one.metric), []).append(one.value)
    for table, column, at in (
        (MonitoringFive, "at", five_of(work.now)),
        (MonitoringHour, "hour_at", hour_of(work.now)),
    ):
        upsert(
            work.session,
            table,
            ("server_id", "metric", column),
            MERGED,
            [
                (server_id, metric, at, len(found), float(sum(found)), float(max(found)))
                for (server_id, metric), found in sums.items()
            ],
        )


def hour_of(instant: datetime) -> datetime:
    """Return when the hour of an instant began."""
    return instant.replace(minute=0, second=0, microsecond=0)


def five_of(instant: datetime) -> datetime:
    """Return when the five minutes of an instant began."""
    minute = instant.minute - instant.minute % FIVE_MINUTES
    return instant.replace(minute=minute, second=0, microsecond=0)


def forget_old(work: UnitOfWork) -> int:
    """Delete a batch of what is older than it is kept; return how many values went.

    Values are kept for two days, five minutes for two weeks, hours for 400 days.
    """
    ids = work.session.scalars(
        select(MonitoringLog.id)
        .where(MonitoringLog.timestamp < work.now - KEEP)
        .order_by(MonitoringLog.timestamp)
        .limit(FORGET_AT_ONCE)
    ).all()
    if ids:
        work.session.execute(delete(MonitoringLog).where(MonitoringLog.id.in_(ids)))
    else:  # sums are few beside them
        fives = delete(MonitoringFive).where(MonitoringFive.at < work.now - KEEP_FIVES)
        work.session.execute(fives)
        hours = delete(MonitoringHour).where(MonitoringHour.hour_at < work.now - KEEP_HOURS)
        work.session.execute(hours)
    return len(ids)
