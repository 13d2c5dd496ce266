"""The table of rentals."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from derpman.finance.models import OverQuota
from derpman.kit.db import Base
from derpman.kit.types import Id, UtcDateTime, enum_column
from derpman.rentals.states import RentalStatus


class Rental(Base):
    """A right to three relays; what the plan promised is copied, so a changed plan changes none."""

    __tablename__ = "rentals"
    __table_args__ = (Index("ix_rentals_status_expires_at", "status", "expires_at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    open_user_id: Mapped[int | None] = mapped_column(Id, unique=True)
    """The user while the rental is not ended: nobody has two."""
    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id"))
    serial_id: Mapped[int | None] = mapped_column(ForeignKey("serial_numbers.id"))
    status: Mapped[RentalStatus] = mapped_column(enum_column(RentalStatus))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_reason: Mapped[str | None] = mapped_column(String(500))
    region_base: Mapped[int] = mapped_column()
    """The three slots' DERP region ids are this and the next two, for ever."""
    traffic_bytes: Mapped[int] = mapped_column(BigInteger)
    rate_bytes_per_second: Mapped[int] = mapped_column(BigInteger)
    device_limit: Mapped[int] = mapped_column()
    over_quota: Mapped[OverQuota] = mapped_column(enum_column(OverQuota))
    throttle_bytes_per_second: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}
