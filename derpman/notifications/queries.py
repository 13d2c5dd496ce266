"""Selects behind the lists of mails."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import defer

from derpman.kit.paging import page
from derpman.kit.work import UnitOfWork
from derpman.notifications import rendering
from derpman.notifications.models import Channel, ChannelMessage, Mail
from derpman.notifications.states import MailStatus, MessageStatus


def mails(
    work: UnitOfWork,
    *,
    address: str | None,
    status: MailStatus | None,
    user_id: int | None,
    before: int | None,
    limit: int,
    sort: str | None = None,
) -> tuple[list[Mail], int | None]:
    """Return mails without their bodies, newest first; `address` is a part of it in any case."""
    found = select(Mail).options(defer(Mail.text), defer(Mail.html))
    if address is not None:
        part = address.lower()
        found = found.where(func.lower(Mail.address).contains(part, autoescape=True))
    if status is not None:
        found = found.where(Mail.status == status)
    if user_id is not None:
        found = found.where(Mail.user_id == user_id)
    return page(work.session, found, Mail.id, before, limit, sort)


def notices(
    work: UnitOfWork, *, user_id: int, before: int | None, limit: int
) -> tuple[list[Mail], int | None]:
    """Return what somebody was told, newest first: no mail that has a code or a link of its own."""
    told = [name for name, template in rendering.TEMPLATES.items() if not template.secrets]
    found = select(Mail).options(defer(Mail.html))
    found = found.where(Mail.user_id == user_id, Mail.template.in_(told))
    return page(work.session, found, Mail.id, before, limit)


@dataclass(frozen=True)
class Waiting:
    """Mails that no mail server has had an answer for, though they were queued a while ago."""

    count: int
    error: str | None
    """What went wrong when one of them was last tried."""


def waiting(work: UnitOfWork, *, longer_than: timedelta) -> Waiting:
    """Return which mails wait for a mail server that works; deferred ones have had an answer."""
    since: datetime = work.now - longer_than
    untaken = (
        Mail.status.in_((MailStatus.QUEUED, MailStatus.SENDING)),
        Mail.deferrals == 0,
        Mail.queued_at <= since,
    )
    count = work.session.scalar(select(func.count(Mail.id)).where(*untaken)) or 0
    error = work.session.scalar(
        select(Mail.error)
        .where(*untaken, Mail.error.is_not(None))
        .order_by(Mail.due_at.desc())
        .limit(1)
    )
    return Waiting(count, error)


def mail_counts(work: UnitOfWork) -> tuple[int, int]:
    """Return how many mails wait, and how many were refused for good."""
    rows = work.session.execute(
        select(Mail.status, func.count())
        .where(Mail.status.in_([MailStatus.QUEUED, MailStatus.SENDING, MailStatus.REFUSED]))
        .group_by(Mail.status)
    )
    counts = {status: count for status, count in rows}  # noqa: C416 # a row is no pair to the types
    waiting = counts.get(MailStatus.QUEUED, 0) + counts.get(MailStatus.SENDING, 0)
    return waiting, counts.get(MailStatus.REFUSED, 0)


def channels(work: UnitOfWork) -> list[Channel]:
    """Return the channels by name."""
    return list(work.session.scalars(select(Channel).order_by(Channel.name)))


def failing_channels(work: UnitOfWork, *, longer_than: timedelta) -> list[Channel]:
    """Return the channels that are switched on and have taken nothing for so long."""
    failing = select(Channel).where(
        Channel.failing_since <= work.now - longer_than, Channel.is_enabled
    )
    return list(work.session.scalars(failing.order_by(Channel.id)))


def messages(
    work: UnitOfWork,
    *,
    channel_id: int,
    status: MessageStatus | None,
    before: int | None,
    limit: int,
) -> tuple[list[ChannelMessage], int | None]:
    """Return what was or is to be told on a channel, the newest first."""
    found = select(ChannelMessage).where(ChannelMessage.channel_id == channel_id)
    if status is not None:
        found = found.where(ChannelMessage.status == status)
    return page(work.session, found, ChannelMessage.id, before, limit)
