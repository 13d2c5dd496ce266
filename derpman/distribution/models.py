"""Tables of distributors' terms, applications, commissions and statements."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from derpman.distribution.states import ApplicationStatus, Level
from derpman.kit.db import Base
from derpman.kit.types import Id, UtcDateTime, enum_column


class ClassRate(Base):
    """What a class gets of turnover from an instant on: its newest row is its rate now."""

    __tablename__ = "class_rates"
    __table_args__ = (Index("ix_class_rates_level_id", "level", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    level: Mapped[Level] = mapped_column(enum_column(Level))
    rate_bp: Mapped[int] = mapped_column()
    """Hundredths of a percent."""
    actor_id: Mapped[int | None] = mapped_column(Id)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class DistributorTerms(Base):
    """A distributor's class and what he may from an instant on: his newest row holds."""

    __tablename__ = "distributor_terms"
    __table_args__ = (Index("ix_distributor_terms_user_id_id", "user_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    level: Mapped[Level] = mapped_column(enum_column(Level))
    may_generate: Mapped[bool] = mapped_column()
    """Make serials himself, paid from his wallet or his credit."""
    credit_limit_fen: Mapped[int] = mapped_column(BigInteger)
    actor_id: Mapped[int | None] = mapped_column(Id)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Application(Base):
    """A distributor's wish for serials, which an admin decides on."""

    __tablename__ = "distributor_applications"
    __table_args__ = (
        Index("ix_distributor_applications_status_id", "status", "id"),
        Index("ix_distributor_applications_user_id_id", "user_id", "id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id"))
    quantity: Mapped[int] = mapped_column()
    note: Mapped[str | None] = mapped_column(String(200))
    status: Mapped[ApplicationStatus] = mapped_column(enum_column(ApplicationStatus))
    reason: Mapped[str | None] = mapped_column(String(200))
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_by: Mapped[int | None] = mapped_column(Id)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class Statement(Base):
    """A distributor's month: what he began with, earned, gave back, and was paid."""

    __tablename__ = "distributor_statements"
    __table_args__ = (UniqueConstraint("user_id", "month"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    month: Mapped[date] = mapped_column()
    """Its first day, in Beijing."""
    opening_fen: Mapped[int] = mapped_column(BigInteger)
    """Carried over from the month before: zero or less."""
    earned_fen: Mapped[int] = mapped_column(BigInteger)
    taken_back_fen: Mapped[int] = mapped_column(BigInteger)
    to_credit_fen: Mapped[int] = mapped_column(BigInteger)
    """Of what was settled: it paid back credit."""
    to_wallet_fen: Mapped[int] = mapped_column(BigInteger)
    closing_fen: Mapped[int] = mapped_column(BigInteger)
    entry_id: Mapped[int | None] = mapped_column(ForeignKey("journal_entries.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Commission(Base):
    """A part of an order's commission: earned, or taken back when the order was refunded."""

    __tablename__ = "commissions"
    __table_args__ = (Index("ix_commissions_user_id_statement_id", "user_id", "statement_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    """The distributor."""
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    entry_id: Mapped[int] = mapped_column(ForeignKey("journal_entries.id"), unique=True)
    base_fen: Mapped[int] = mapped_column(BigInteger)
    """What the customer had paid in money and not got back."""
    rate_bp: Mapped[int] = mapped_column()
    fen: Mapped[int] = mapped_column(BigInteger)
    """Negative when it was taken back."""
    booked_on: Mapped[date] = mapped_column()
    """The day in Beijing."""
    statement_id: Mapped[int | None] = mapped_column(
        ForeignKey("distributor_statements.id"), index=True
    )
