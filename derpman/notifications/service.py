"""Verbs on mails: queue, count what visitors cause, lease to a sender, record how it ended."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, update

from derpman.kit.db import changed
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.notifications import rendering, wordings
from derpman.notifications.errors import MailLimit, MailNotFound
from derpman.notifications.events import MailGivenUp, MailQueued
from derpman.notifications.models import Mail, MailAllowance
from derpman.notifications.states import TRANSITIONS, MailStatus

ALLOWED_MAILS = 5
ALLOWANCE_WINDOW = timedelta(minutes=10)

SENDERS = 2
"""How many mails are under way at once, so that a slow mail server holds up no other work."""
LEASE = timedelta(seconds=60)
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (30, 60, 120, 300, 600, 1800, 3600))
"""How long a mail waits after the server's first, second, … "later"; the last goes on."""
AWAY_PAUSE = timedelta(seconds=15)
TRIED_FOR = timedelta(days=3)


@dataclass(frozen=True, repr=False)
class Letter:
    """A leased mail as it will be sent, secrets and all but our address: never log it."""

    mail_id: int
    attempt: int
    message_id: str
    template: str
    address: str
    locale: str
    subject: str
    text: str
    html: str
    secrets: Mapping[str, str]
    created_at: datetime


def queue_mail(
    work: UnitOfWork,
    *,
    template: str,
    address: str,
    locale: str,
    user_id: int | None = None,
    params: Mapping[str, Any],
    secrets: Mapping[str, str] | None = None,
    once_key: str | None = None,
) -> Mail | None:
    """Queue a mail, sent soon after the commit; None when `once_key` was used before.

    `rendering.TEMPLATES` says what `params` and `secrets` a template needs; ValueError otherwise.
    """
    if once_key is not None and _was_queued(work, once_key):
        return None
    secrets = secrets or {}
    if secrets.keys() != rendering.TEMPLATES[template].secrets:
        raise ValueError(f"mail template {template} needs other secrets")
    rendered = wordings.render(work, template, locale, params)
    mail = Mail(
        message_id=uuid.uuid4().hex,
        once_key=once_key,
        user_id=user_id,
        address=address,
        template=template,
        locale=rendered.locale,
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        secrets=work.vault.seal(json.dumps(dict(secrets))) if secrets else None,
        status=MailStatus.QUEUED,
        due_at=work.now,
        created_at=work.now,
        queued_at=work.now,
    )
    work.session.add(mail)
    work.session.flush()
    work.emit(MailQueued(mail_id=mail.id))
    return mail


def _was_queued(work: UnitOfWork, once_key: str) -> bool:
    found = select(Mail.id).where(Mail.once_key == once_key)
    return work.session.scalar(found) is not None


def take_allowance(work: UnitOfWork, *, address_key: str) -> None:
    """Count a mail that a visitor causes; MailLimit when the address has had its five.

    Call it alike for addresses that have an account and that do not.
    """
    row = work.session.get(MailAllowance, address_key)
    recent = [] if row is None else [datetime.fromisoformat(at) for at in json.loads(row.recent)]
    recent = [at for at in recent if at > work.now - ALLOWANCE_WINDOW]
    if len(recent) >= ALLOWED_MAILS:
        wait = recent[-ALLOWED_MAILS] + ALLOWANCE_WINDOW - work.now
        raise MailLimit(retry_after_seconds=math.ceil(wait.total_seconds()))
    recent.append(work.now)
    text = json.dumps([at.isoformat() for at in recent])
    if row is None:
        row = MailAllowance(address_key=address_key, recent=text, updated_at=work.now)
        work.session.add(row)
    else:
        row.recent, row.updated_at = text, work.now
    work.session.flush()


def purge_allowances(work: UnitOfWork) -> None:
    """Forget counts that no longer hold anything back."""
    old = MailAllowance.updated_at <= work.now - ALLOWANCE_WINDOW
    work.session.execute(delete(MailAllowance).where(old))


def lease_next(work: UnitOfWork, *, domain: str) -> Letter | None:
    """Take the mail that has been due longest; None when none is, or enough senders are at work.

    `domain` completes the Message-ID of a mail that is taken for the first time.
    """
    under_way = select(func.count(Mail.id)).where(
        Mail.status == MailStatus.SENDING, Mail.due_at > work.now
    )
    if (work.session.scalar(under_way) or 0) >= SENDERS:
        return None
    due = (
        select(Mail)
        .where(Mail.status.in_((MailStatus.QUEUED, MailStatus.SENDING)), Mail.due_at <= work.now)
        .order_by(Mail.due_at, Mail.id)
        .limit(SENDERS + 1)
    )
    for mail in work.session.scalars(due).all():
        message_id = mail.message_id if "@" in mail.message_id else f"{mail.message_id}@{domain}"
        attempt = mail.attempts + 1
        taken = changed(
            work.session,
            update(Mail)
            .where(Mail.id == mail.id, Mail.status == mail.status, Mail.attempts == mail.attempts)
            .values(
                status=next_state(TRANSITIONS, mail.status, "lease"),
                attempts=attempt,
                message_id=message_id,
                due_at=work.now + LEASE,
            ),
        )
        if taken == 0:
            continue  # another sender was quicker
        try:
            secrets = _opened(work, mail.secrets)
        except ValueError:
            reason = "its codes are sealed with a key that this installation does not have"
            refuse(work, mail_id=mail.id, attempt=attempt, reason=reason)
            continue
        return Letter(
            mail_id=mail.id,
            attempt=attempt,
            message_id=message_id,
            template=mail.template,
            address=mail.address,
            locale=mail.locale,
            subject=mail.subject,
            text=mail.text,
            html=mail.html,
            secrets=secrets,
            created_at=mail.created_at,
        )
    return None


def renew_lease(work: UnitOfWork, *, mail_id: int, attempt: int) -> None:
    """Keep a mail for its sender, who still waits for the server."""
    _record(work, mail_id, attempt, MailStatus.SENDING, due_at=work.now + LEASE)


def accept(work: UnitOfWork, *, mail_id: int) -> None:
    """Record that the server took the mail, and erase its secrets.

    Also when the lease had run out meanwhile: what a server took is sent, whoever asked it.
    """
    work.session.execute(
        update(Mail)
        .where(Mail.id == mail_id, Mail.status.in_((MailStatus.SENDING, MailStatus.QUEUED)))
        .values(status=MailStatus.SENT, sent_at=work.now, secrets=None, error=None)
    )


def put_back(work: UnitOfWork, *, mail_id: int, attempt: int, reason: str) -> None:
    """Record that the server is away: the mail waits a little, and nothing counts against it."""
    status = next_state(TRANSITIONS, MailStatus.SENDING, "defer")
    _record(work, mail_id, attempt, status, due_at=work.now + AWAY_PAUSE, error=_line(reason))


def defer(work: UnitOfWork, *, mail_id: int, attempt: int, reason: str) -> None:
    """Record a "later" or a missing answer; after three days of them the mail is given up."""
    mail = mail_of(work, mail_id)
    if work.now >= mail.queued_at + TRIED_FOR:
        return refuse(work, mail_id=mail_id, attempt=attempt, reason=f"given up: {reason}")
    pause = PAUSES[min(mail.deferrals, len(PAUSES) - 1)]
    status = next_state(TRANSITIONS, MailStatus.SENDING, "defer")
    _record(
        work,
        mail_id,
        attempt,
        status,
        deferrals=mail.deferrals + 1,
        due_at=work.now + pause,
        error=_line(reason),
    )
    return None


def refuse(work: UnitOfWork, *, mail_id: int, attempt: int, reason: str) -> None:
    """Record that the mail will never be taken; an admin may queue it again."""
    status = next_state(TRANSITIONS, MailStatus.SENDING, "refuse")
    if _record(work, mail_id, attempt, status, error=_line(reason)):
        work.emit(MailGivenUp(mail_id=mail_id))


def requeue(work: UnitOfWork, *, mail_id: int) -> Mail:
    """Queue a refused mail again, for another three days."""
    mail = mail_of(work, mail_id)
    status = next_state(TRANSITIONS, mail.status, "requeue")
    moved = changed(
        work.session,
        update(Mail)
        .where(Mail.id == mail_id, Mail.status == mail.status)
        .values(status=status, deferrals=0, due_at=work.now, queued_at=work.now),
    )
    if moved == 1:  # otherwise somebody else did the same just now
        logs.record(work, action="mail.requeue", object_type="mail", object_id=mail_id)
        work.emit(MailQueued(mail_id=mail_id))
    work.session.refresh(mail)
    return mail


def mail_of(work: UnitOfWork, mail_id: int) -> Mail:
    """Return a mail by its id."""
    mail = work.session.get(Mail, mail_id)
    if mail is None:
        raise MailNotFound(mail_id=mail_id)
    return mail


def _record(
    work: UnitOfWork, mail_id: int, attempt: int, status: MailStatus, **values: Any
) -> bool:
    """Move a mail that this attempt holds; False when its lease ran out and another took it."""
    moved = changed(
        work.session,
        update(Mail)
        .where(Mail.id == mail_id, Mail.status == MailStatus.SENDING, Mail.attempts == attempt)
        .values(status=status, **values),
    )
    return moved == 1


def _opened(work: UnitOfWork, sealed: str | None) -> dict[str, str]:
    return {} if sealed is None else json.loads(work.vault.open(sealed))


def _line(reason: str) -> str:
    """Return what a server said as one printable line that fits its column."""
    return " ".join("".join(c if c.isprintable() else " " for c in reason).split())[:500]
