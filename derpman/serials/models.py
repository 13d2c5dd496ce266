"""The table of serials."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from derpman.kit.db import Base
from derpman.kit.types import Id, UtcDateTime, enum_column
from derpman.serials.states import SerialStatus


class Serial(Base):
    """A prepaid code that buys one rental period when redeemed."""

    __tablename__ = "serial_numbers"
    __table_args__ = (Index("ix_serial_numbers_status_expires_at", "status", "expires_at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    code: Mapped[str] = mapped_column(String(32), unique=True)
    duration_days: Mapped[int] = mapped_column()
    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id"), index=True)
    status: Mapped[SerialStatus] = mapped_column(enum_column(SerialStatus))
    note: Mapped[str | None] = mapped_column(String(200))
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"), index=True)
    """The purchase it was made for; empty when an admin made it."""
    distributor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    """Who sells it."""
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # of two at the same instant one fails
