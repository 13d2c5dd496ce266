"""Tables of accounts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from derpman.kit.db import Base
from derpman.kit.types import Id, UtcDateTime, enum_column
from derpman.kit.work import Role
from derpman.users.states import UserStatus


class Registration(Base):
    """A wish to have an account; its id becomes the account's when the address is verified.

    A registration for an address that has an account is a decoy: it gets an id like any other, so
    that its answer tells a stranger nothing, but never a code. Ids are never used again, also
    after old rows were deleted.
    """

    __tablename__ = "registrations"
    __table_args__ = (
        Index("ix_registrations_email_key_id", "email_key", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    username: Mapped[str] = mapped_column(String(64))
    username_key: Mapped[str] = mapped_column(String(64))
    email: Mapped[str] = mapped_column(String(254))
    email_key: Mapped[str] = mapped_column(String(254))
    password: Mapped[str] = mapped_column(String(255))
    locale: Mapped[str] = mapped_column(String(16))
    code_hash: Mapped[str | None] = mapped_column(String(64))
    wrong_codes: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class User(Base):
    """An account, for ever: what it did stays after it is closed."""

    __tablename__ = "users"
    __table_args__ = (Index("ix_users_status_deregister_at", "status", "deregister_at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    username: Mapped[str] = mapped_column(String(64))
    username_key: Mapped[str] = mapped_column(String(64), unique=True)
    email: Mapped[str] = mapped_column(String(254))
    email_key: Mapped[str] = mapped_column(String(254), unique=True)
    password: Mapped[str] = mapped_column(String(255))
    role: Mapped[Role] = mapped_column(enum_column(Role))
    status: Mapped[UserStatus] = mapped_column(enum_column(UserStatus))
    status_reason: Mapped[str | None] = mapped_column(String(500))
    locale: Mapped[str] = mapped_column(String(16))
    rental_expiry: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    distributor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    """Whose customer he is: of the distributor whose serial he redeemed last."""
    manager_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    """The admin who looks after him; admins whose role reaches their own see these customers."""
    no_renewal_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Since when neither he nor anything automatic may renew; empty: he may."""
    no_renewal_reason: Mapped[str | None] = mapped_column(String(500))
    deregister_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the account is deregistered by itself unless he renews; empty: never."""
    deregistered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    former_email_key: Mapped[str | None] = mapped_column(String(254), index=True)
    """The address of a deregistered account, which may be another account's since."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # concurrent edits fail
