"""The table of plans."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from derpman.kit.db import Base
from derpman.kit.types import Id, UtcDateTime, enum_column


class OverQuota(StrEnum):
    STOP = "stop"
    THROTTLE = "throttle"


class Plan(Base):
    """Length, price, traffic, speed and devices of a rental."""

    __tablename__ = "plans"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    duration_days: Mapped[int] = mapped_column(index=True)
    price_fen: Mapped[int] = mapped_column(BigInteger)
    traffic_bytes: Mapped[int] = mapped_column(BigInteger)
    """Per 30 days; a shorter plan has this amount once."""
    rate_bytes_per_second: Mapped[int] = mapped_column(BigInteger)
    """Speed of one device, 0 for no limit."""
    device_limit: Mapped[int] = mapped_column()
    over_quota: Mapped[OverQuota] = mapped_column(enum_column(OverQuota))
    throttle_bytes_per_second: Mapped[int] = mapped_column(BigInteger)
    retired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}
