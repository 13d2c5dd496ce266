"""What must happen later is a row, written in the transaction that makes it necessary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Self

from sqlalchemy import Index, String, Text, delete, insert, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from derpman.kit.db import Base, changed
from derpman.kit.types import Id, UtcDateTime, enum_column

OVERDUE_AFTER = timedelta(seconds=60)
"""A delivery sent this long ago and not heard of is sent again."""
LONGEST_SILENCE = timedelta(minutes=10)
"""Messages that nobody takes must not pile up in the broker faster than this."""
FIRST_PAUSE = timedelta(seconds=60)
"""A delivery whose handler failed is tried again after this; twice as long each time."""
MAX_PAUSE = timedelta(hours=1)
MAY_BE_THE_KILLER = 20
"""Sent in vain this often, a delivery may be what ends the workers that take it."""
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
    """How often it was handed over. Those that no handler answered were lost on the way, or with
    the process that had them."""
    failures: Mapped[int] = mapped_column(default=0)
    """How often its handler failed."""
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


def record_all(
    session: Session, events: Sequence[Event], handlers: Sequence[str], now: datetime
) -> None:
    """Record the deliveries of many events of one kind in one statement."""
    rows = [
        {
            "event": event.name,
            "handler": handler,
            "payload": json.dumps(event.payload(), separators=(",", ":")),
            "status": DeliveryStatus.PENDING,
            "attempts": 0,
            "due_at": now,
            "created_at": now,
        }
        for event in events
        for handler in handlers
    ]
    if rows:
        session.execute(insert(Delivery), rows)


def take_due(session: Session, now: datetime, limit: int) -> list[tuple[int, str]]:
    """Mark up to `limit` due deliveries as sent and return their (id, handler).

    Guarded row by row: two dispatchers may run at once, each row goes to one of them. A row that
    was sent and not heard of counts as due again when it is overdue.
    """
    due = session.execute(
        select(Delivery.id, Delivery.handler, Delivery.attempts, Delivery.failures)
        .where(
            Delivery.status.in_((DeliveryStatus.PENDING, DeliveryStatus.SENT)),
            Delivery.due_at <= now,
        )
        .order_by(Delivery.due_at)
        .limit(limit)
    ).all()
    taken: list[tuple[int, str]] = []
    for row in due:
        lost = max(0, row.attempts - row.failures)
        pause = min(OVERDUE_AFTER * 2 ** min(lost, 10), LONGEST_SILENCE)
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


def take_back(session: Session, now: datetime) -> int:
    """Make everything that was handed over and not heard of due at once; return how many rows.

    For a process that begins: the one before it may have been killed with deliveries in its hands.
    What another process is still at comes twice, and the second finds it done.
    """
    return changed(
        session,
        update(Delivery)
        .where(Delivery.status == DeliveryStatus.SENT, Delivery.due_at > now)
        .where(Delivery.attempts - Delivery.failures < MAY_BE_THE_KILLER)
        .values(due_at=now),
    )


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


def record_failure(
    session: Session, delivery_id: int, error: str, now: datetime, *, for_good: bool
) -> None:
    """Keep why a handler failed, and when it is tried again.

    `for_good` takes the row out of the dispatcher's sight.
    """
    row = session.get(Delivery, delivery_id, populate_existing=True)
    if row is None or row.status in (DeliveryStatus.DONE, DeliveryStatus.DEAD):
        return
    pause = min(FIRST_PAUSE * 2 ** min(row.failures, 10), MAX_PAUSE)
    session.execute(
        update(Delivery)
        .where(Delivery.id == delivery_id, Delivery.status == row.status)
        .values(
            status=DeliveryStatus.DEAD if for_good else DeliveryStatus.PENDING,
            error=error[:2000],
            failures=Delivery.failures + 1,
            due_at=now + pause,
        )
        .execution_options(synchronize_session=False)
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
