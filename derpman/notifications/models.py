"""Tables of mails and of how many an address may still cause."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from derpman.kit.db import Base
from derpman.kit.types import SEALED, Id, LongText, UtcDateTime, enum_column
from derpman.notifications.states import ChannelKind, MailStatus, MessageStatus


class Mail(Base):
    """One mail to one address; its Message-ID never changes once a mail server has seen it.

    Codes and links that open something stand sealed in `secrets` until the mail is sent, and as
    marks in the text, so that an admin can read every mail and use none.
    """

    __tablename__ = "mails"
    __table_args__ = (Index("ix_mails_status_due_at", "status", "due_at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    message_id: Mapped[str] = mapped_column(String(255), unique=True)
    """The unique part from the beginning; our domain joins it when the mail is first taken."""
    once_key: Mapped[str | None] = mapped_column(String(128), unique=True)
    user_id: Mapped[int | None] = mapped_column(Id, index=True)
    address: Mapped[str] = mapped_column(String(254))
    template: Mapped[str] = mapped_column(String(64))
    locale: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(String(255))
    text: Mapped[str] = mapped_column(LongText)
    html: Mapped[str] = mapped_column(LongText)
    secrets: Mapped[str | None] = mapped_column(Text, info=SEALED)
    status: Mapped[MailStatus] = mapped_column(enum_column(MailStatus))
    attempts: Mapped[int] = mapped_column(default=0)
    """Times it was taken for sending; what a sender reports counts only for the newest."""
    deferrals: Mapped[int] = mapped_column(default=0)
    """Times the server said "later" to this mail; the pause grows with them."""
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When it may be taken; while it is being sent, when the lease runs out."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    queued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(String(500))


class MailAllowance(Base):
    """When the last mails that a visitor caused went to an address, existing or not."""

    __tablename__ = "mail_allowances"

    address_key: Mapped[str] = mapped_column(String(254), primary_key=True)
    recent: Mapped[str] = mapped_column(Text)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # two at once: one runs again and counts both


class MailTemplate(Base):
    """One version of an operator's wording of a mail; the highest is in use, none is changed.

    Empty texts stand for the built-in wording: what "reset" leads back to.
    """

    __tablename__ = "mail_templates"
    __table_args__ = (UniqueConstraint("name", "locale", "version"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    locale: Mapped[str] = mapped_column(String(16))
    version: Mapped[int] = mapped_column()
    """Counts from 1 for each name and locale; the unique key lets one of two editors win."""
    subject: Mapped[str | None] = mapped_column(Text)
    text: Mapped[str | None] = mapped_column(LongText)
    html: Mapped[str | None] = mapped_column(LongText)
    edited_by: Mapped[int | None] = mapped_column(Id)
    editor: Mapped[str] = mapped_column(String(64))
    edited_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Channel(Base):
    """Where an operator wants to be told of alerts and of chosen events, besides by mail."""

    __tablename__ = "notification_channels"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[ChannelKind] = mapped_column(enum_column(ChannelKind))
    url: Mapped[str] = mapped_column(Text, info=SEALED)
    """Sealed: a robot's address is all that one needs to speak for it."""
    host: Mapped[str] = mapped_column(String(255))
    secret: Mapped[str | None] = mapped_column(Text, info=SEALED)
    """Sealed: what requests are signed with."""
    locale: Mapped[str] = mapped_column(String(16))
    topics: Mapped[str] = mapped_column(Text)
    """Names of topics as a JSON list."""
    min_severity: Mapped[str] = mapped_column(String(16))
    """The least severe alert that is told."""
    is_enabled: Mapped[bool] = mapped_column()
    attempts: Mapped[int] = mapped_column(default=0)
    """Times it was leased; what a sender reports counts only for the newest."""
    leased_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    served_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When it was last leased: whoever waited longest comes next."""
    paused_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failures: Mapped[int] = mapped_column(default=0)
    """In a row; the pause grows with them."""
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    error: Mapped[str | None] = mapped_column(String(500))
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ChannelMessage(Base):
    """Something to be told on one channel; its key is the same however often it is sent."""

    __tablename__ = "channel_messages"
    __table_args__ = (
        Index("ix_channel_messages_status_channel_id_id", "status", "channel_id", "id"),
        Index("ix_channel_messages_status_created_at", "status", "created_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    channel_id: Mapped[int] = mapped_column(ForeignKey("notification_channels.id"), index=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    topic: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(Text)
    data: Mapped[str] = mapped_column(Text)
    status: Mapped[MessageStatus] = mapped_column(enum_column(MessageStatus))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    queued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(String(500))
