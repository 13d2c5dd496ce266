"""Verbs on channels: where operators are told of alerts and events. `parcels` has the sending."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select, update

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
from derpman.notifications.states import MESSAGE_TRANSITIONS, ChannelKind, MessageStatus
from derpman.notifications.topics import SEVERITIES, TEST, TEST_TEXT, TOPICS, text_of

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
