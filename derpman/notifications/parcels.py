"""What a sender of channels' messages takes with him, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update

from derpman.kit.db import changed
from derpman.kit.work import UnitOfWork
from derpman.notifications import robots
from derpman.notifications.models import Channel, ChannelMessage
from derpman.notifications.robots import Item
from derpman.notifications.states import ChannelKind, MessageStatus
from derpman.notifications.topics import TEST

SENDERS = 2
"""How many channels are spoken to at once, so that slow ones hold up no other work."""
LEASE = timedelta(seconds=60)
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (15, 30, 60, 120, 300, 600))
"""How long a channel rests after its first, second, … failure in a row; the last goes on."""
TRIED_FOR = timedelta(days=1)


@dataclass(frozen=True)
class Parcel:
    """Messages of one channel that one sender has, with all he needs: never log it."""

    channel_id: int
    attempt: int
    kind: ChannelKind
    url: str = field(repr=False)
    secret: str | None = field(repr=False)
    items: Sequence[Item]
    now: datetime


def lease_next(work: UnitOfWork) -> Parcel | None:
    """Take the messages of the channel that was served least lately; None when none may go."""
    under_way = select(func.count(Channel.id)).where(Channel.leased_until > work.now)
    if (work.session.scalar(under_way) or 0) >= SENDERS:
        return None
    waiting = (
        select(ChannelMessage.channel_id)
        .where(
            ChannelMessage.channel_id == Channel.id,
            ChannelMessage.status == MessageStatus.QUEUED,
            or_(Channel.is_enabled, ChannelMessage.topic == TEST),
        )
        .exists()
    )
    due = (
        select(Channel)
        .where(
            or_(Channel.leased_until.is_(None), Channel.leased_until <= work.now),
            or_(Channel.paused_until.is_(None), Channel.paused_until <= work.now),
            waiting,
        )
        .order_by(Channel.served_at, Channel.id)
        .limit(SENDERS + 1)
    )
    for channel in work.session.scalars(due).all():
        attempt = channel.attempts + 1
        taken = changed(
            work.session,
            update(Channel)
            .where(Channel.id == channel.id, Channel.attempts == channel.attempts)
            .values(attempts=attempt, leased_until=work.now + LEASE, served_at=work.now)
            .execution_options(synchronize_session=False),
        )
        if taken == 0:
            continue  # another sender was quicker
        try:
            url = work.vault.open(channel.url)
            secret = None if channel.secret is None else work.vault.open(channel.secret)
        except ValueError:
            reason = "it is sealed with a key that this installation does not have"
            fail(work, channel_id=channel.id, attempt=attempt, reason=reason)
            continue
        items = robots.fitting(channel.kind, _items(work, channel))
        if not items:  # they were settled by a sender whose lease had run out
            _free(work, channel.id, attempt)
            continue
        return Parcel(channel.id, attempt, channel.kind, url, secret, items, work.now)
    return None


def accept(work: UnitOfWork, *, parcel: Parcel) -> None:
    """Record that the messages were taken; a failing channel works again."""
    pause = robots.ROBOT_PAUSE if robots.takes_many(parcel.kind) else timedelta(0)
    _settle(work, parcel, MessageStatus.SENT, sent_at=work.now, error=None)
    _free(
        work,
        parcel.channel_id,
        parcel.attempt,
        paused_until=work.now + pause,
        failures=0,
        failing_since=None,
        error=None,
        sent_at=work.now,
    )


def refuse(work: UnitOfWork, *, parcel: Parcel, reason: str) -> None:
    """Record that the channel works and never takes these messages."""
    _settle(work, parcel, MessageStatus.REFUSED, error=_line(reason))
    _free(work, parcel.channel_id, parcel.attempt, failures=0, failing_since=None)


def fail(work: UnitOfWork, *, channel_id: int, attempt: int, reason: str) -> None:
    """Record that a channel takes nothing now: it rests, and what waits for a day is given up."""
    channel = work.session.get(Channel, channel_id, populate_existing=True)
    if channel is None:
        return  # it was removed meanwhile
    pause = PAUSES[min(channel.failures, len(PAUSES) - 1)]
    freed = _free(
        work,
        channel_id,
        attempt,
        paused_until=work.now + pause,
        failures=channel.failures + 1,
        failing_since=channel.failing_since or work.now,
        error=_line(reason),
    )
    if freed:
        work.session.execute(
            update(ChannelMessage)
            .where(
                ChannelMessage.channel_id == channel_id,
                ChannelMessage.status == MessageStatus.QUEUED,
                ChannelMessage.queued_at <= work.now - TRIED_FOR,
            )
            .values(status=MessageStatus.REFUSED, error=_line(f"given up: {reason}"))
            .execution_options(synchronize_session=False)
        )


def _items(work: UnitOfWork, channel: Channel) -> list[Item]:
    waiting = (
        select(ChannelMessage)
        .where(
            ChannelMessage.status == MessageStatus.QUEUED,
            ChannelMessage.channel_id == channel.id,
        )
        .order_by(ChannelMessage.id)
        .limit(robots.MESSAGES_AT_ONCE)
    )
    if not channel.is_enabled:
        waiting = waiting.where(ChannelMessage.topic == TEST)
    return [
        Item(
            message_id=message.id,
            key=message.key,
            topic=message.topic,
            text=message.text,
            data=json.loads(message.data),
            created_at=message.created_at,
        )
        for message in work.session.scalars(waiting)
    ]


def _settle(work: UnitOfWork, parcel: Parcel, status: MessageStatus, **values: Any) -> None:
    """Move what a sender had; also when its lease ran out meanwhile: what was told is told."""
    work.session.execute(
        update(ChannelMessage)
        .where(
            ChannelMessage.id.in_([item.message_id for item in parcel.items]),
            ChannelMessage.status == MessageStatus.QUEUED,
        )
        .values(status=status, **values)
        .execution_options(synchronize_session=False)
    )


def _free(work: UnitOfWork, channel_id: int, attempt: int, **values: Any) -> bool:
    """End a lease; False when it ran out and another sender has the channel."""
    freed = changed(
        work.session,
        update(Channel)
        .where(Channel.id == channel_id, Channel.attempts == attempt)
        .values(leased_until=None, **values)
        .execution_options(synchronize_session=False),
    )
    return freed == 1


def _line(reason: str) -> str:
    """Return what the other side said as one printable line that fits its column."""
    return " ".join("".join(c if c.isprintable() else " " for c in reason).split())[:500]
