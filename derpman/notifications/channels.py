"""Verbs on channels: where operators are told of alerts and events, and what waits to be told."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, update

from derpman.kit.db import changed
from derpman.kit.outgoing import AddressRefused, Outgoing
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.notifications import robots
from derpman.notifications.errors import (
    ChannelNameTaken,
    ChannelNotFound,
    ChannelWrong,
    MessageNotFound,
)
from derpman.notifications.events import ChannelTold
from derpman.notifications.models import Channel, ChannelMessage
from derpman.notifications.robots import Item
from derpman.notifications.states import MESSAGE_TRANSITIONS, ChannelKind, MessageStatus
from derpman.notifications.topics import SEVERITIES, TEST, TEST_TEXT, TOPICS, text_of

SENDERS = 2
"""How many channels are spoken to at once, so that slow ones hold up no other work."""
LEASE = timedelta(seconds=60)
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (15, 30, 60, 120, 300, 600))
"""How long a channel rests after its first, second, … failure in a row; the last goes on."""
TRIED_FOR = timedelta(days=1)
KEPT_FOR = timedelta(days=90)
PURGE_BATCH = 1000


@dataclass(frozen=True)
class ChannelFacts:
    """What an operator says of a channel; no `url` or `secret` keeps the one there is."""

    name: str
    kind: ChannelKind
    locale: str
    topics: Sequence[str]
    min_severity: str
    is_enabled: bool
    url: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)


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


def get(work: UnitOfWork, channel_id: int) -> Channel:
    """Return a channel by its id."""
    channel = work.session.get(Channel, channel_id)
    if channel is None:
        raise ChannelNotFound(channel_id=channel_id)
    return channel


def add(work: UnitOfWork, *, facts: ChannelFacts, outgoing: Outgoing) -> Channel:
    """Add a channel; `outgoing` says which addresses may be asked at all."""
    if facts.url is None:
        raise ChannelWrong(field="url", reason="there is none")
    robots.check_secret(facts.kind, facts.secret)
    _refuse_taken(work, facts.name, None)
    channel = Channel(
        kind=facts.kind,
        url=work.vault.seal(facts.url),
        host=_host(facts.url, outgoing),
        secret=None if facts.secret is None else work.vault.seal(facts.secret),
        served_at=work.now,
        created_at=work.now,
    )
    _write(work, channel, facts)
    work.session.add(channel)
    work.session.flush()
    _log(work, "channel.add", channel, None)
    return channel


def edit(work: UnitOfWork, *, channel_id: int, facts: ChannelFacts, outgoing: Outgoing) -> Channel:
    """Change a channel; what waits for it goes the new way, and at once."""
    channel = get(work, channel_id)
    before = _shown(channel)
    if facts.kind is not channel.kind:
        raise ChannelWrong(field="kind", reason="it is chosen once")
    _refuse_taken(work, facts.name, channel_id)
    if facts.secret is not None:
        robots.check_secret(facts.kind, facts.secret)
        channel.secret = work.vault.seal(facts.secret)
    if facts.url is not None:
        channel.url, channel.host = work.vault.seal(facts.url), _host(facts.url, outgoing)
    channel.paused_until, channel.failures = None, 0
    channel.failing_since, channel.error = None, None
    _write(work, channel, facts)
    work.session.flush()
    _log(work, "channel.edit", channel, before)
    work.emit(ChannelTold(channel_ids=[channel_id]))
    return channel


def remove(work: UnitOfWork, *, channel_id: int) -> None:
    """Remove a channel with all that waits for it."""
    channel = get(work, channel_id)
    _log(work, "channel.remove", channel, _shown(channel))
    work.session.execute(delete(ChannelMessage).where(ChannelMessage.channel_id == channel_id))
    work.session.execute(delete(Channel).where(Channel.id == channel_id))


def test(work: UnitOfWork, *, channel_id: int) -> ChannelMessage:
    """Queue a test message, also for a channel that is switched off; sent without a pause."""
    channel = get(work, channel_id)
    channel.paused_until = None
    facts = {"name": channel.name}
    message = _message(work, channel, TEST, text_of(TEST_TEXT, facts, channel.locale), facts)
    work.session.add(message)
    work.session.flush()
    logs.record(work, action="channel.test", object_type="channel", object_id=channel_id)
    work.emit(ChannelTold(channel_ids=[channel_id]))
    return message


def announce(
    work: UnitOfWork,
    *,
    topic: str,
    facts: Mapping[str, Any],
    texts: Mapping[str, str] | None = None,
    severity: str | None = None,
) -> None:
    """Queue a message on every channel that wants the topic; nothing where none does.

    `texts` by locale take the place of the topic's own. `facts` reach the channel: no secrets.
    """
    told: list[int] = []
    for channel in work.session.scalars(select(Channel).where(Channel.is_enabled)).all():
        if topic not in json.loads(channel.topics) or _is_below(severity, channel.min_severity):
            continue
        text = (texts or {}).get(channel.locale) or text_of(TOPICS[topic], facts, channel.locale)
        work.session.add(_message(work, channel, topic, text, facts))
        told.append(channel.id)
    if told:
        work.emit(ChannelTold(channel_ids=told))


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


def requeue(work: UnitOfWork, *, message_id: int) -> ChannelMessage:
    """Queue a refused message again, for another day."""
    message = work.session.get(ChannelMessage, message_id)
    if message is None:
        raise MessageNotFound(message_id=message_id)
    status = next_state(MESSAGE_TRANSITIONS, message.status, "requeue")
    moved = changed(
        work.session,
        update(ChannelMessage)
        .where(ChannelMessage.id == message_id, ChannelMessage.status == message.status)
        .values(status=status, queued_at=work.now),
    )
    if moved == 1:  # otherwise somebody else did the same just now
        logs.record(
            work, action="channel.requeue", object_type="channel_message", object_id=message_id
        )
        work.emit(ChannelTold(channel_ids=[message.channel_id]))
    work.session.refresh(message)
    return message


def purge(work: UnitOfWork) -> int:
    """Forget messages that were settled long ago; return how many of a batch went."""
    old = work.session.scalars(
        select(ChannelMessage.id)
        .where(
            ChannelMessage.status.in_((MessageStatus.SENT, MessageStatus.REFUSED)),
            ChannelMessage.created_at <= work.now - KEPT_FOR,
        )
        .limit(PURGE_BATCH)
    ).all()
    if old:
        work.session.execute(delete(ChannelMessage).where(ChannelMessage.id.in_(old)))
    return len(old)


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


def _message(
    work: UnitOfWork, channel: Channel, topic: str, text: str, facts: Mapping[str, Any]
) -> ChannelMessage:
    return ChannelMessage(
        channel_id=channel.id,
        key=f"msg_{uuid.uuid4().hex}",
        topic=topic,
        text=text,
        data=json.dumps(dict(facts), ensure_ascii=False, default=str),
        status=MessageStatus.QUEUED,
        created_at=work.now,
        queued_at=work.now,
    )


def _write(work: UnitOfWork, channel: Channel, facts: ChannelFacts) -> None:
    channel.name, channel.locale = facts.name, facts.locale
    channel.topics = json.dumps(sorted(set(facts.topics)))
    channel.min_severity, channel.is_enabled = facts.min_severity, facts.is_enabled
    channel.updated_at = work.now


def _refuse_taken(work: UnitOfWork, name: str, own_id: int | None) -> None:
    other = work.session.scalar(select(Channel.id).where(Channel.name == name))
    if other is not None and other != own_id:
        raise ChannelNameTaken(name=name)


def _host(url: str, outgoing: Outgoing) -> str:
    try:
        parts = outgoing.checked(url)
    except AddressRefused as error:
        raise ChannelWrong(field="url", reason=str(error)) from None
    if parts.scheme != "https" and not outgoing.allow_private:
        raise ChannelWrong(field="url", reason="it must begin with https://")
    return str(parts.hostname)[:255]


def _is_below(severity: str | None, least: str) -> bool:
    return severity is not None and SEVERITIES.index(severity) < SEVERITIES.index(least)


def _shown(channel: Channel) -> dict[str, Any]:
    return {
        "name": channel.name,
        "kind": channel.kind,
        "host": channel.host,
        "locale": channel.locale,
        "topics": json.loads(channel.topics),
        "min_severity": channel.min_severity,
        "is_enabled": channel.is_enabled,
    }


def _log(work: UnitOfWork, action: str, channel: Channel, before: dict[str, Any] | None) -> None:
    after = None if action == "channel.remove" else _shown(channel)
    logs.record(
        work,
        action=action,
        object_type="channel",
        object_id=channel.id,
        before=before,
        after=after,
    )


def _line(reason: str) -> str:
    """Return what the other side said as one printable line that fits its column."""
    return " ".join("".join(c if c.isprintable() else " " for c in reason).split())[:500]
