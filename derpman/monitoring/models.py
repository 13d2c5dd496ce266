"""The tables of metrics: every value, and the spans they are summed up in as they come."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from derpman.kit.db import Base
from derpman.kit.types import Id, UtcDateTime

SYSTEM = 0
"""In sums, the server of metrics that are of the system itself."""


class MonitoringLog(Base):
    """One value of one metric of one server, or of the system itself, at one instant."""

    __tablename__ = "monitoring_logs"
    __table_args__ = (
        Index("ix_monitoring_logs_server_id_metric_timestamp", "server_id", "metric", "timestamp"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    server_id: Mapped[int | None] = mapped_column(ForeignKey("servers.id"))
    """Empty: the system itself."""
    metric: Mapped[str] = mapped_column(String(64))
    value: Mapped[float] = mapped_column()
    timestamp: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class MonitoringFive(Base):
    """The values of one metric within five minutes."""

    __tablename__ = "monitoring_fives"
    __table_args__ = (Index("ix_monitoring_fives_at", "at"),)

    server_id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    """`SYSTEM` for the system itself."""
    metric: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    samples: Mapped[int] = mapped_column()
    total: Mapped[float] = mapped_column()
    most: Mapped[float] = mapped_column()


class MonitoringHour(Base):
    """The values of one metric within one hour."""

    __tablename__ = "monitoring_hours"
    __table_args__ = (Index("ix_monitoring_hours_hour_at", "hour_at"),)

    server_id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    """`SYSTEM` for the system itself."""
    metric: Mapped[str] = mapped_column(String(64), primary_key=True)
    hour_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    samples: Mapped[int] = mapped_column()
    total: Mapped[float] = mapped_column()
    most: Mapped[float] = mapped_column()
