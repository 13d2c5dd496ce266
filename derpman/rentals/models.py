"""The table of rentals."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from derpman.finance.models import OverQuota
from derpman.kit.db import Base
from derpman.kit.types import Id, UtcDateTime, enum_column
from derpman.rentals.states import MoveStatus, NoticeKind, RentalStatus


class Rental(Base):
    """A right to three relays; what the plan promised is copied, so a changed plan changes none."""

    __tablename__ = "rentals"
    __table_args__ = (Index("ix_rentals_status_expires_at", "status", "expires_at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    open_user_id: Mapped[int | None] = mapped_column(Id, unique=True)
    """The user while the rental is not ended: nobody has two."""
    resumes_id: Mapped[int | None] = mapped_column(Id)
    """The rental whose relays this one got again."""
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
    terms_until: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    """When what was bought earlier is over, and what was bought later may promise less."""
    period: Mapped[int] = mapped_column(default=1)
    """Counts what was bought: each notice is sent once for each of them."""
    period_from: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the last was bought: a notice that was due before is not sent."""
    next_notice_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class RentalTerm(Base):
    """What was bought for a span of a rental: by its first serial or order, and by each renewal."""

    __tablename__ = "rental_terms"
    __table_args__ = (UniqueConstraint("rental_id", "number"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    rental_id: Mapped[int] = mapped_column(ForeignKey("rentals.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    number: Mapped[int] = mapped_column()
    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id"))
    serial_id: Mapped[int | None] = mapped_column(ForeignKey("serial_numbers.id"), unique=True)
    order_id: Mapped[int | None] = mapped_column(Id, unique=True)
    """One order buys one term, however often its payment is told."""
    reason: Mapped[str | None] = mapped_column(String(500))
    """An admin's, when it was given."""
    actor_name: Mapped[str] = mapped_column(String(64))
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    traffic_bytes: Mapped[int] = mapped_column(BigInteger)
    rate_bytes_per_second: Mapped[int] = mapped_column(BigInteger)
    device_limit: Mapped[int] = mapped_column()
    over_quota: Mapped[OverQuota] = mapped_column(enum_column(OverQuota))
    throttle_bytes_per_second: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RentalNotice(Base):
    """A notice that was due in a period of a rental: its unique key lets it be sent once."""

    __tablename__ = "rental_notices"
    __table_args__ = (UniqueConstraint("rental_id", "period", "kind"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    rental_id: Mapped[int] = mapped_column(ForeignKey("rentals.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    period: Mapped[int] = mapped_column()
    kind: Mapped[NoticeKind] = mapped_column(enum_column(NoticeKind))
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    is_sent: Mapped[bool] = mapped_column()
    """False when it came too late, a later one being due, or the user was suspended."""


class SlotMove(Base):
    """A slot's relay goes to another server: why, how far it is, from where, to where."""

    __tablename__ = "slot_moves"
    __table_args__ = (
        Index("ix_slot_moves_status_priority_id", "status", "priority", "id"),
        Index("ix_slot_moves_from_server_id_id", "from_server_id", "id"),
        Index("ix_slot_moves_rental_id_id", "rental_id", "id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    rental_id: Mapped[int] = mapped_column(ForeignKey("rentals.id"))
    slot: Mapped[int] = mapped_column()
    open_key: Mapped[str | None] = mapped_column(String(48), unique=True)
    """Rental and slot until the new map is made: no slot has two moves under way."""
    cause: Mapped[str] = mapped_column(String(32))
    status: Mapped[MoveStatus] = mapped_column(enum_column(MoveStatus))
    priority: Mapped[int] = mapped_column()
    """The lowest first: those without a home relay, then those with the fewest relays alive."""
    from_placement_id: Mapped[int] = mapped_column(ForeignKey("user_containers.id"), index=True)
    from_server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"))
    wished_server_id: Mapped[int | None] = mapped_column(ForeignKey("servers.id"))
    to_placement_id: Mapped[int | None] = mapped_column(ForeignKey("user_containers.id"))
    to_server_id: Mapped[int | None] = mapped_column(ForeignKey("servers.id"))
    is_shared: Mapped[bool] = mapped_column(default=False)
    """It went to a server that carries another slot of the rental, for want of a better one."""
    version_id: Mapped[int | None] = mapped_column(ForeignKey("acl_versions.id"))
    tries: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(String(64))
    """The code of what stood in the way last."""
    actor_name: Mapped[str] = mapped_column(String(64))
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When it is looked at next: to begin, or because the next relay took too long."""
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    begun_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    switched_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
