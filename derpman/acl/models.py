"""Tables of ACL versions, of who made and who downloaded them, and of secret addresses."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from derpman.acl.states import AclStatus, Evidence, RotationStatus
from derpman.kit.db import Base
from derpman.kit.types import SEALED, Id, LongText, UtcDateTime, enum_column


class AclVersion(Base):
    """One generation of a user's derpMap; its bytes never change."""

    __tablename__ = "acl_versions"
    __table_args__ = (
        UniqueConstraint("user_id", "number"),
        Index("ix_acl_versions_status_due_at", "status", "due_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    rental_id: Mapped[int] = mapped_column(Id, index=True)
    number: Mapped[int] = mapped_column()
    document: Mapped[str] = mapped_column(LongText)
    """The DERPMap as Tailscale's own JSON, without the `derpMap` around it."""
    digest: Mapped[str] = mapped_column(String(64))
    status: Mapped[AclStatus] = mapped_column(enum_column(AclStatus))
    reason: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When it wants attention: the next is to be made; or, superseded, a notice or its end."""
    superseded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AclLog(Base):
    """Every generation: for whom, from where, which version, why."""

    __tablename__ = "acl_logs"
    __table_args__ = (Index("ix_acl_logs_user_id_id", "user_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    ip_address: Mapped[str] = mapped_column(String(45))
    location: Mapped[str] = mapped_column(String(128))
    acl_version: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(String(64))
    actor_name: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class AclDownload(Base):
    """Every download: who, from where, with which machine, which version in which form."""

    __tablename__ = "acl_downloads"
    __table_args__ = (Index("ix_acl_downloads_user_id_id", "user_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    username: Mapped[str] = mapped_column(String(64))
    ip_address: Mapped[str] = mapped_column(String(45))
    location: Mapped[str] = mapped_column(String(128))
    machine_code: Mapped[str | None] = mapped_column(String(80))
    browser: Mapped[str] = mapped_column(String(64))
    system: Mapped[str] = mapped_column(String(64))
    acl_version: Mapped[str] = mapped_column(String(32))
    form: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    once_key: Mapped[str | None] = mapped_column(String(128), unique=True)
    """Of what polls and is logged once an hour; empty for what a person asked for."""


class AclAddress(Base):
    """A secret address that headscale fetches the derpMap from, until it is revoked."""

    __tablename__ = "acl_addresses"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    live_user_id: Mapped[int | None] = mapped_column(Id, unique=True)
    """The user while the address is not revoked: nobody has two."""
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    token: Mapped[str] = mapped_column(Text, deferred=True, info=SEALED)
    """Sealed, so that its owner can look it up again."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fetched_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AclUsage(Base):
    """Which version a customer's tailnet has applied, and how we know."""

    __tablename__ = "acl_usage"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id"), primary_key=True, autoincrement=False
    )
    version_id: Mapped[int | None] = mapped_column(ForeignKey("acl_versions.id"))
    """Empty: nothing is known."""
    evidence: Mapped[Evidence | None] = mapped_column(enum_column(Evidence))
    since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When that became known."""
    current_id: Mapped[int] = mapped_column(ForeignKey("acl_versions.id"))
    is_watched: Mapped[bool] = mapped_column(index=True)
    """Where his devices are tells something that is not known yet."""
    on_new_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Since when a device is on a relay that only the version in force names."""
    off_old_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Since when none is on a relay that it names no more; empty while one is."""


class AclJob(Base):
    """An admin's wish for the next version of everybody on a server."""

    __tablename__ = "acl_jobs"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"))
    reason: Mapped[str] = mapped_column(String(64))
    is_new_ports: Mapped[bool] = mapped_column()
    actor_name: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AclRotation(Base):
    """The making of somebody's next version: relays beside the old ones first, then the map."""

    __tablename__ = "acl_rotations"
    __table_args__ = (
        Index("ix_acl_rotations_status_id", "status", "id"),
        Index("ix_acl_rotations_job_id_status", "job_id", "status"),
        Index("ix_acl_rotations_user_id_id", "user_id", "id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    open_user_id: Mapped[int | None] = mapped_column(Id, unique=True)
    """The user until it is done or cancelled: nobody has two."""
    rental_id: Mapped[int] = mapped_column(Id)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("acl_jobs.id"))
    status: Mapped[RotationStatus] = mapped_column(enum_column(RotationStatus))
    reason: Mapped[str] = mapped_column(String(64))
    is_new_ports: Mapped[bool] = mapped_column()
    actor_name: Mapped[str] = mapped_column(String(64))
    ip_address: Mapped[str] = mapped_column(String(45))
    """Where it was wished from, for the log of generations; empty when it was time."""
    tries: Mapped[int] = mapped_column(default=0)
    version_id: Mapped[int | None] = mapped_column(ForeignKey("acl_versions.id"))
    error: Mapped[str | None] = mapped_column(String(64))
    """The code of what stood in the way."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    begun_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
