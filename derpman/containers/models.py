"""Tables of placements, of ports, and of who may connect."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from derpman.alerts.models import Reaction
from derpman.containers.states import Observed, Wanted
from derpman.finance.models import OverQuota
from derpman.kit.db import Base
from derpman.kit.types import SEALED, Id, UtcDateTime, enum_column


class Placement(Base):
    """One generation of a slot's relay on a server; its id is the relay's id on the node."""

    __tablename__ = "user_containers"
    __table_args__ = (
        Index("ix_user_containers_server_id_gone_at", "server_id", "gone_at"),
        Index("ix_user_containers_user_id_wanted", "user_id", "wanted"),
        UniqueConstraint("rental_id", "slot", "generation"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    rental_id: Mapped[int] = mapped_column(Id)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"))
    slot: Mapped[int] = mapped_column()
    """1, 2 or 3."""
    generation: Mapped[int] = mapped_column()
    region_id: Mapped[int] = mapped_column()
    address: Mapped[str] = mapped_column(String(45))
    port: Mapped[int] = mapped_column()
    """TCP for DERP and UDP for STUN: one number for both."""
    certificate: Mapped[str] = mapped_column(Text)
    private_key: Mapped[str] = mapped_column(Text, deferred=True, info=SEALED)
    """Sealed."""
    pin: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the certificate's DER, lower-case hex."""
    mesh_key: Mapped[str] = mapped_column(Text, deferred=True, info=SEALED)
    """Sealed."""
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the rental ends."""
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Of a generation that another has followed: when the last map that names it ends."""
    rate_bytes_per_second: Mapped[int] = mapped_column(BigInteger)
    quota_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """What its node lets it send in all, over all its starts; empty: no limit."""
    at_quota: Mapped[OverQuota | None] = mapped_column(enum_column(OverQuota))
    throttle_bytes_per_second: Mapped[int] = mapped_column(BigInteger, default=0)
    wanted: Mapped[Wanted] = mapped_column(enum_column(Wanted))
    observed: Mapped[Observed] = mapped_column(enum_column(Observed))
    reason: Mapped[str | None] = mapped_column(String(64))
    restarts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ready_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    released_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    gone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the node proved that nothing of it is left."""


class PortClaim(Base):
    """A port of a server that is somebody's, or rests: the primary key decides races."""

    __tablename__ = "port_claims"

    server_id: Mapped[int] = mapped_column(
        ForeignKey("servers.id"), primary_key=True, autoincrement=False
    )
    port: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    placement_id: Mapped[int] = mapped_column(ForeignKey("user_containers.id"), index=True)
    free_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    """When a released port may be anybody's again; empty while it is in use."""


class Admission(Base):
    """A device that the user's relays let in."""

    __tablename__ = "relay_admissions"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id"), primary_key=True, autoincrement=False
    )
    node_key: Mapped[str] = mapped_column(String(72), primary_key=True)
    not_after: Mapped[datetime | None] = mapped_column(UtcDateTime)


class UserServer(Base):
    """A user's right on a server, from the first placement there to the end of the last."""

    __tablename__ = "user_server_association"
    __table_args__ = (Index("ix_user_server_association_server_id", "server_id"),)

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id"), primary_key=True, autoincrement=False
    )
    server_id: Mapped[int] = mapped_column(
        ForeignKey("servers.id"), primary_key=True, autoincrement=False
    )
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Restraint(Base):
    """What an alert does to a customer's relays while it lasts."""

    __tablename__ = "relay_restraints"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    alert_id: Mapped[int] = mapped_column(Id, unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    reaction: Mapped[Reaction] = mapped_column(enum_column(Reaction))
    bytes_per_second: Mapped[int] = mapped_column(BigInteger)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    """It lasts so long at least, and on while its cause does."""
