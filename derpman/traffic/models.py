"""Tables of counters, of what rentals may send, and of roll-ups. All sizes are bytes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ColumnElement, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column

from derpman.finance.models import OverQuota
from derpman.kit.db import Base
from derpman.kit.types import Id, UtcDateTime, enum_column
from derpman.traffic.states import PeriodStatus, Verdict


class RelayMeter(Base):
    """How much one relay has sent: the mark up to which its node's counts are ours.

    Within one start of the relay the count only grows, so that a reading that comes twice, late
    or from a stalled worker changes nothing.
    """

    __tablename__ = "relay_meters"
    # Rows are merged by their key with the few columns of a reading, and databases look at what is
    # missing before they see that the row is there.

    placement_id: Mapped[int] = mapped_column(
        ForeignKey("user_containers.id"), primary_key=True, autoincrement=False
    )
    server_id: Mapped[int] = mapped_column(Id, index=True, server_default="0")
    user_id: Mapped[int] = mapped_column(Id, index=True, server_default="0")
    rental_id: Mapped[int] = mapped_column(Id, index=True, server_default="0")
    start_id: Mapped[str | None] = mapped_column(String(128))
    """The start that runs; its process counts from zero."""
    start_number: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Counts changes of `start_id`: a reading is taken up only under the number it was made for."""
    start_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    before_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """What earlier starts sent, less what is in quarantine."""
    node_before_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """What the node itself counts before this start: it compares its own sum with the quota."""
    read_at: Mapped[datetime] = mapped_column(UtcDateTime)
    share_from_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """The node's sum when the relay got its share of what the rental has left."""
    share_bytes: Mapped[int | None] = mapped_column(BigInteger)
    rolling_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    rolled_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """How much of the sum is in hourly roll-ups."""

    @hybrid_property
    def total_bytes(self) -> int:
        """All it sent that is billed."""
        return self.before_bytes + self.start_bytes

    @total_bytes.inplace.expression
    @classmethod
    def _total_bytes(cls) -> ColumnElement[int]:
        return cls.before_bytes + cls.start_bytes

    @property
    def node_bytes(self) -> int:
        """The node's sum at the last reading."""
        return self.node_before_bytes + self.start_bytes


class RelayStart(Base):
    """A start of a relay that is over, or was overtaken by another, with what it sent."""

    __tablename__ = "relay_starts"
    __table_args__ = (Index("ix_relay_starts_is_gap_ended_at", "is_gap", "ended_at"),)

    placement_id: Mapped[int] = mapped_column(
        ForeignKey("user_containers.id"), primary_key=True, autoincrement=False
    )
    start_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    sent_bytes: Mapped[int] = mapped_column(BigInteger)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Empty while nobody told of its end."""
    is_gap: Mapped[bool] = mapped_column(default=False)
    """It was killed: what it sent after the last reading is not known, and not billed."""


class Quarantine(Base):
    """A count that the server's line could not have carried: not billed until an admin says so."""

    __tablename__ = "traffic_quarantine"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    placement_id: Mapped[int] = mapped_column(ForeignKey("user_containers.id"), index=True)
    server_id: Mapped[int] = mapped_column(Id)
    user_id: Mapped[int] = mapped_column(Id)
    sent_bytes: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[float] = mapped_column()
    """Within which it was counted."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    verdict: Mapped[Verdict] = mapped_column(enum_column(Verdict))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_by: Mapped[str | None] = mapped_column(String(64))


class TrafficPeriod(Base):
    """An amount of traffic and when it may be used; a rental's periods follow each other."""

    __tablename__ = "traffic_periods"
    __table_args__ = (
        UniqueConstraint("rental_id", "number"),
        Index("ix_traffic_periods_status_starts_at", "status", "starts_at"),
        Index("ix_traffic_periods_status_ends_at", "status", "ends_at"),
        Index("ix_traffic_periods_status_over_at", "status", "over_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    rental_id: Mapped[int] = mapped_column(ForeignKey("rentals.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    number: Mapped[int] = mapped_column()
    status: Mapped[PeriodStatus] = mapped_column(enum_column(PeriodStatus))
    open_rental_id: Mapped[int | None] = mapped_column(Id, unique=True)
    """The rental while the period is open: none has two."""
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    planned_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When it was to begin: later than it did, when a renewal drew it forward."""
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    plan_bytes: Mapped[int] = mapped_column(BigInteger)
    granted_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    at_quota: Mapped[OverQuota] = mapped_column(enum_column(OverQuota))
    throttle_bytes_per_second: Mapped[int] = mapped_column(BigInteger)
    base_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    """What the rental had sent when the period opened."""
    used_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    level: Mapped[int] = mapped_column(default=0)
    """The last of 80, 95 and 100 percent that was passed."""
    act_at_bytes: Mapped[int] = mapped_column(BigInteger)
    """What is used when the next level is passed."""
    over_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    shared_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When what is left was shared out among the relays last."""
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}

    @property
    def limit_bytes(self) -> int:
        return self.plan_bytes + self.granted_bytes

    @property
    def left_bytes(self) -> int:
        return max(0, self.limit_bytes - self.used_bytes)


class TrafficGrant(Base):
    """Traffic that an admin gave on top."""

    __tablename__ = "traffic_grants"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    period_id: Mapped[int] = mapped_column(ForeignKey("traffic_periods.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    granted_bytes: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(String(500))
    actor_name: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class _RelaySum:
    placement_id: Mapped[int] = mapped_column(
        ForeignKey("user_containers.id"), primary_key=True, autoincrement=False
    )
    server_id: Mapped[int] = mapped_column(Id)
    user_id: Mapped[int] = mapped_column(Id)
    sent_bytes: Mapped[int] = mapped_column(BigInteger)


class TrafficHour(_RelaySum, Base):
    """What a relay sent within one hour."""

    __tablename__ = "traffic_hours"
    __table_args__ = (
        Index("ix_traffic_hours_user_id_begins_at", "user_id", "begins_at"),
        Index("ix_traffic_hours_server_id_begins_at", "server_id", "begins_at"),
    )

    begins_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True, index=True)


class TrafficDay(_RelaySum, Base):
    """What a relay sent within one day of Beijing time."""

    __tablename__ = "traffic_days"
    __table_args__ = (
        Index("ix_traffic_days_user_id_begins_at", "user_id", "begins_at"),
        Index("ix_traffic_days_server_id_begins_at", "server_id", "begins_at"),
    )

    begins_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True, index=True)


class ServerMeter(Base):
    """What a server sent: by its network card, and by its relays together."""

    __tablename__ = "server_meters"

    server_id: Mapped[int] = mapped_column(
        ForeignKey("servers.id"), primary_key=True, autoincrement=False
    )
    nic_raw_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """The card's own count at the last reading; it begins anew with every boot."""
    nic_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    nic_read_at: Mapped[datetime] = mapped_column(UtcDateTime)
    relay_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    month_begins_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    month_base_nic_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    month_base_relay_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    rolled_nic_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    rolled_relay_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    warned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When this month's margin was acted upon."""


class _ServerSum:
    server_id: Mapped[int] = mapped_column(
        ForeignKey("servers.id"), primary_key=True, autoincrement=False
    )
    nic_bytes: Mapped[int] = mapped_column(BigInteger)
    relay_bytes: Mapped[int] = mapped_column(BigInteger)


class ServerHour(_ServerSum, Base):
    """What a server sent within one hour."""

    __tablename__ = "server_traffic_hours"

    begins_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True, index=True)


class ServerDay(_ServerSum, Base):
    """What a server sent within one day of Beijing time."""

    __tablename__ = "server_traffic_days"

    begins_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True, index=True)


class RateWatch(Base):
    """A customer whose relays send fast now: what they sent when the watch began."""

    __tablename__ = "rate_watches"

    user_id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    from_bytes: Mapped[int] = mapped_column(BigInteger)
    bytes_per_second: Mapped[int] = mapped_column(BigInteger)
    """The mean of the watch before; 0 in the first."""
