"""Tables of devices, of knocks, and of pairing windows."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from derpman.devices.states import DeviceStatus, KnockStatus, LinkedStatus
from derpman.kit.db import Base
from derpman.kit.types import Id, UtcDateTime, enum_column


class Source(StrEnum):
    """How a device came to be registered."""

    NODE_KEY = "node_key"
    STATUS_JSON = "status_json"
    PAIRING = "pairing"
    KNOCK = "knock"
    LINK = "link"


class Device(Base):
    """A Tailscale node of a customer, by its node key."""

    __tablename__ = "devices"
    __table_args__ = (
        UniqueConstraint("user_id", "node_key"),
        UniqueConstraint("user_id", "seat"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    seat: Mapped[int | None] = mapped_column()
    """Which of the plan's places it takes, from 1; the unique key keeps two from one place."""
    node_key: Mapped[str] = mapped_column(String(72))
    """`nodekey:` and 64 lower-case hex digits. Public, not a secret."""
    name: Mapped[str] = mapped_column(String(128))
    system: Mapped[str] = mapped_column(String(64))
    source: Mapped[Source] = mapped_column(enum_column(Source))
    status: Mapped[DeviceStatus] = mapped_column(enum_column(DeviceStatus))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    removed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_address: Mapped[str | None] = mapped_column(String(64))
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class Knock(Base):
    """A device that is not registered and tried a relay of this customer."""

    __tablename__ = "device_knocks"
    __table_args__ = (
        UniqueConstraint("user_id", "node_key"),
        Index("ix_device_knocks_user_id_status_last_at", "user_id", "status", "last_at"),
        Index("ix_device_knocks_last_at", "last_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    node_key: Mapped[str] = mapped_column(String(72))
    ip_address: Mapped[str] = mapped_column(String(45))
    location: Mapped[str] = mapped_column(String(128))
    slot: Mapped[int] = mapped_column()
    count: Mapped[int] = mapped_column()
    status: Mapped[KnockStatus] = mapped_column(enum_column(KnockStatus))
    is_looked_for: Mapped[bool] = mapped_column(default=False)
    """Its customer's linked tailnet is asked about it; he is told afterwards if it still waits."""
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PairingWindow(Base):
    """Minutes in which knocks are taken up by themselves, up to the plan's limit."""

    __tablename__ = "pairing_windows"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id"), primary_key=True, autoincrement=False
    )
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    taken: Mapped[int] = mapped_column()


class Presence(Base):
    """A registered device that is connected to a relay now, as the relay's node says."""

    __tablename__ = "device_presence"
    __table_args__ = (Index("ix_device_presence_user_id", "user_id"),)

    placement_id: Mapped[int] = mapped_column(
        ForeignKey("user_containers.id"), primary_key=True, autoincrement=False
    )
    node_key: Mapped[str] = mapped_column(String(72), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"), index=True)
    address: Mapped[str] = mapped_column(String(64))
    since: Mapped[datetime] = mapped_column(UtcDateTime)


class LinkedDevice(Base):
    """A device of a linked tailnet, by the id that it keeps when its node key changes."""

    __tablename__ = "linked_devices"
    __table_args__ = (UniqueConstraint("user_id", "stable_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    stable_id: Mapped[str] = mapped_column(String(64))
    node_key: Mapped[str] = mapped_column(String(72))
    name: Mapped[str] = mapped_column(String(64))
    system: Mapped[str] = mapped_column(String(64))
    addresses: Mapped[str] = mapped_column(String(255))
    """In the tailnet, separated by blanks."""
    is_ephemeral: Mapped[bool] = mapped_column()
    status: Mapped[LinkedStatus] = mapped_column(enum_column(LinkedStatus))
    device_id: Mapped[int | None] = mapped_column(ForeignKey("devices.id"), index=True)
    missing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Since when the tailnet does not list it any more."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class DeviceNetwork(Base):
    """A network that a device came from lately, and when it last newly did."""

    __tablename__ = "device_networks"

    user_id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    node_key: Mapped[str] = mapped_column(String(72), primary_key=True)
    network: Mapped[str] = mapped_column(String(64), primary_key=True)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
