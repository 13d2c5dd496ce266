"""The tables of metrics: every value, and the hours they are summed up in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from derpman.kit.db import Base
from derpman.kit.types import Id, UtcDateTime


class MonitoringLog(Base):
    """One value of one metric of one server at one instant."""

    __tablename__ = "monitoring_logs"
    __table_args__ = (
        Index("ix_monitoring_logs_server_id_metric_timestamp", "server_id", "metric", "timestamp"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"))
    metric: Mapped[str] = mapped_column(String(64))
    value: Mapped[float] = mapped_column()
    timestamp: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class MonitoringHour(Base):
    """The values of one metric of one server within one hour, summed up as they come."""

    __tablename__ = "monitoring_hours"

    server_id: Mapped[int] = mapped_column(
        ForeignKey("servers.id"), primary_key=True, autoincrement=False
    )
    metric: Mapped[str] = mapped_column(String(64), primary_key=True)
    hour_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    samples: Mapped[int] = mapped_column()
    total: Mapped[float] = mapped_column()
    most: Mapped[float] = mapped_column()
