"""Alerts about mails themselves: `notifications` stands below and cannot raise any."""

from __future__ import annotations

from datetime import timedelta

from derpman.alerts import service
from derpman.alerts.models import Severity
from derpman.kit.work import UnitOfWork
from derpman.notifications import queries
from derpman.notifications import service as notifications

PATIENCE = timedelta(minutes=5)


def watch(work: UnitOfWork) -> None:
    """Alert while mails wait for a mail server, whatever the cause; resolved when they went."""
    waiting = queries.waiting(work, longer_than=PATIENCE)
    if waiting.count == 0:
        service.resolve_alert(work, alert_type="mail_waiting")
        return
    error = waiting.error or "no mail server is set, or no worker runs"
    service.raise_alert(
        work,
        alert_type="mail_waiting",
        severity=Severity.CRITICAL,
        params={"count": waiting.count, "error": error},
    )


def report_given_up(work: UnitOfWork, mail_id: int) -> None:
    """Alert that a mail was refused for good. One alert for all: strangers can cause them."""
    mail = notifications.mail_of(work, mail_id)
    service.raise_alert(
        work,
        alert_type="mail_refused",
        severity=Severity.WARNING,
        params={"mail_id": mail_id, "address": mail.address, "reason": mail.error},
    )
