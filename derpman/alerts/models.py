"""The table of alerts."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from derpman.kit.db import Base
from derpman.kit.types import Id, UtcDateTime, enum_column


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class SystemAlert(Base):
    """One thing that is wrong; repeated while it is open, it only counts up."""

    __tablename__ = "system_alerts"
    __table_args__ = (Index("ix_system_alerts_resolved_id", "resolved", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    alert_type: Mapped[str] = mapped_column(String(64))
    severity: Mapped[Severity] = mapped_column(enum_column(Severity))
    message: Mapped[str] = mapped_column(Text)
    resolved: Mapped[bool] = mapped_column(default=False)
    params: Mapped[str] = mapped_column(Text)
    open_key: Mapped[str | None] = mapped_column(String(128), unique=True)
    """`type:object` while it is open, so that one cause has one open alert."""
    count: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)
    resolved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Reaction(StrEnum):
    """What follows when a rule finds something; an alert is raised in any case."""

    ALERT = "alert"
    MAIL = "mail"
    THROTTLE = "throttle"
    STOP = "stop"


class AnomalyRule(Base):
    """What an admin set of a rule otherwise than `rules.RULES` has it."""

    __tablename__ = "anomaly_rules"

    kind: Mapped[str] = mapped_column(String(64), primary_key=True)
    is_enabled: Mapped[bool] = mapped_column()
    severity: Mapped[Severity] = mapped_column(enum_column(Severity))
    reaction: Mapped[Reaction] = mapped_column(enum_column(Reaction))
    throttle_bytes_per_second: Mapped[int] = mapped_column(BigInteger)
    hold_minutes: Mapped[int] = mapped_column()
    thresholds: Mapped[str] = mapped_column(Text)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}
