"""What must happen later is a row, written in the transaction that makes it necessary."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Self

from sqlalchemy import Index, String, Text, delete, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from derpman.kit.db import Base, changed
from derpman.kit.types import Id, UtcDateTime, enum_column

OVERDUE_AFTER = timedelta(seconds=60)
"""A delivery sent this long ago and not done is sent again."""
MAX_PAUSE = timedelta(hours=1)
PURGE_BATCH = 1000


@dataclass(frozen=True)
class Event:
    """Something that happened. Subclasses set `name` and carry ids, never secrets."""

    name: ClassVar[str]

    def payload(self) -> dict[str, Any]:
        """Return the arguments of the handlers' verbs."""
        return asdict(self)


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    SENT = "sent"
    DONE = "done"
    DEAD = "dead"


class Delivery(Base):
    """One event for one handler: done when the handler's own transaction says so."""

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_status_due_at", "status", "due_at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    event: Mapped[str] = mapped_column(String(64))
    handler: Mapped[str] = mapped_column(String(128))
    payload: Mapped[str] = mapped_column(Text)
    status: Mapped[DeliveryStatus] = mapped_column(enum_column(DeliveryStatus))
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(Text)

    @classmethod
    def of(cls, event: Event, handler: str, now: datetime) -> Self:
        """Return the row for one handler of an event, due at once."""
        return cls(
            event=event.name,
            handler=handler,
            payload=json.dumps(event.payload(), separators=(",", ":")),
            status=DeliveryStatus.PENDING,
            due_at=now,
            created_at=now,
        )


def take_due(session: Session, now: datetime, limit: int) -> list[tuple[int, str]]:
    """Mark up to `limit` due deliveries as sent and return their (id, handler).

    Guarded row by row: two dispatchers may run at once, each row goes to one of them. A row that
    was sent and is overdue counts as due again; the pause grows with each attempt.
    """
    due = session.execute(
        select(Delivery.id, Delivery.handler, Delivery.attempts)
        .where(
            Delivery.status.in_((DeliveryStatus.PENDING, DeliveryStatus.SENT)),
            Delivery.due_at <= now,
        )
        .order_by(Delivery.due_at)
        .limit(limit)
    ).all()
    taken: list[tuple[int, str]] = []
    for row in due:
        pause = min(OVERDUE_AFTER * 2**row.attempts, MAX_PAUSE)
        claimed = changed(
            session,
            update(Delivery)
            .where(Delivery.id == row.id, Delivery.attempts == row.attempts)
            .where(Delivery.status.in_((DeliveryStatus.PENDING, DeliveryStatus.SENT)))
            .values(status=DeliveryStatus.SENT, attempts=row.attempts + 1, due_at=now + pause),
        )
        if claimed == 1:
            taken.append((row.id, row.handler))
    return taken


def finish(session: Session, delivery_id: int, now: datetime) -> dict[str, Any] | None:
    """Mark a delivery as done and return its payload, or None when it was done before."""
    done = changed(
        session,
        update(Delivery)
        .where(
            Delivery.id == delivery_id,
            or_(Delivery.status == DeliveryStatus.PENDING, Delivery.status == DeliveryStatus.SENT),
        )
        .values(status=DeliveryStatus.DONE, done_at=now, error=None),
    )
    if done == 0:
        return None
    payload = session.scalar(select(Delivery.payload).where(Delivery.id == delivery_id))
    return json.loads(payload or "{}")


def peek(session: Session, delivery_id: int) -> dict[str, Any] | None:
    """Return the payload of a delivery that is not done yet, else None."""
    delivery = session.get(Delivery, delivery_id)
    if delivery is None or delivery.status in (DeliveryStatus.DONE, DeliveryStatus.DEAD):
        return None
    return json.loads(delivery.payload)


def record_failure(session: Session, delivery_id: int, error: str, *, for_good: bool) -> None:
    """Keep why a handler failed; `for_good` takes the row out of the dispatcher's sight."""
    values: dict[str, Any] = {"error": error[:2000]}
    if for_good:
        values["status"] = DeliveryStatus.DEAD
    session.execute(
        update(Delivery)
        .where(Delivery.id == delivery_id, Delivery.status != DeliveryStatus.DONE)
        .values(values)
    )


def purge_done(session: Session, before: datetime, limit: int = PURGE_BATCH) -> int:
    """Delete up to `limit` deliveries done before an instant; return how many."""
    ids = session.scalars(
        select(Delivery.id)
        .where(Delivery.status == DeliveryStatus.DONE, Delivery.due_at < before)
        .order_by(Delivery.due_at)
        .limit(limit)
    ).all()
    if ids:
        session.execute(delete(Delivery).where(Delivery.id.in_(ids)))
    return len(ids)
