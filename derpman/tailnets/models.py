"""Tables of links to customers' tailnets, and of pushes through them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from derpman.kit.db import Base
from derpman.kit.types import SEALED, Id, LongText, UtcDateTime, enum_column
from derpman.tailnets.states import LinkKind, LinkStatus, PushKind, PushStatus


class TailnetLink(Base):
    """A customer's credential at his control server, and what we may do with it."""

    __tablename__ = "tailnet_links"
    __table_args__ = (Index("ix_tailnet_links_wants_devices_look_at", "wants_devices", "look_at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), unique=True)
    kind: Mapped[LinkKind] = mapped_column(enum_column(LinkKind))
    address: Mapped[str] = mapped_column(String(512))
    """Of headscale, without a path; empty for Tailscale."""
    tailnet: Mapped[str] = mapped_column(String(254))
    """Of Tailscale `-` or an organization's name; of headscale a user's name, empty for all."""
    client_id: Mapped[str] = mapped_column(String(128))
    secret: Mapped[str] = mapped_column(Text, deferred=True, info=SEALED)
    """Sealed: the OAuth client's secret, or headscale's API key."""
    generation: Mapped[int] = mapped_column()
    """Counts credentials: what was learnt with an earlier one is not written down."""
    wants_push: Mapped[bool] = mapped_column()
    wants_devices: Mapped[bool] = mapped_column()
    is_automatic: Mapped[bool] = mapped_column()
    """Every new ACL version is pushed by itself, once the customer has pushed one."""
    status: Mapped[LinkStatus] = mapped_column(enum_column(LinkStatus))
    error: Mapped[str | None] = mapped_column(String(64))
    error_params: Mapped[str | None] = mapped_column(Text)
    error_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failures: Mapped[int] = mapped_column()
    succeeded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paused_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """The control server wants to be left alone until then."""
    pushed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    pushed_version_id: Mapped[int | None] = mapped_column(Id)
    """The version that stands in the tailnet's policy, as far as we have put it there."""
    look_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the devices are looked at next."""
    looked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    leased_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    leases: Mapped[int] = mapped_column()
    fruitless: Mapped[int] = mapped_column()
    """How many looks in a row were asked for by a knock and found nothing."""
    held_removals: Mapped[int] = mapped_column()
    """How many devices are gone there and wait for the customer's word."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class AclPush(Base):
    """One wish to change a tailnet's policy, and what became of it."""

    __tablename__ = "acl_pushes"
    __table_args__ = (
        Index("ix_acl_pushes_user_id_id", "user_id", "id"),
        Index("ix_acl_pushes_status_due_at", "status", "due_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    open_user_id: Mapped[int | None] = mapped_column(Id, unique=True)
    """The user while it is queued: one thing at a time happens to a policy."""
    kind: Mapped[PushKind] = mapped_column(enum_column(PushKind))
    status: Mapped[PushStatus] = mapped_column(enum_column(PushStatus))
    generation: Mapped[int] = mapped_column()
    """Of the link when it was asked for: another credential may mean another policy."""
    is_automatic: Mapped[bool] = mapped_column()
    actor_name: Mapped[str] = mapped_column(String(64))
    version_id: Mapped[int | None] = mapped_column(Id)
    """The version that was put there; the one in force when it was done, not when it was asked."""
    undoes_id: Mapped[int | None] = mapped_column(Id)
    diff: Mapped[str | None] = mapped_column(LongText, deferred=True, info=SEALED)
    """Sealed: what changed in the derpMap part, the only part that is kept."""
    former: Mapped[str | None] = mapped_column(LongText, deferred=True, info=SEALED)
    """Sealed: the derpMap part as it was before; an empty text when there was none."""
    part_digest: Mapped[str | None] = mapped_column(String(64))
    """SHA-256 of the derpMap part as it was left, by which a later change is noticed."""
    unregistered: Mapped[str | None] = mapped_column(Text)
    """Names of the tailnet's devices that lose relays unless they are registered; JSON."""
    error: Mapped[str | None] = mapped_column(String(64))
    error_params: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column()
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When it is tried next."""
    leased_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
