"""Celery meets alerts."""

from __future__ import annotations

from celery import shared_task

from derpman.alerts import mails
from derpman.kit.tasks import Task


@shared_task(bind=True, base=Task, name="alerts.watch_mails")
def watch_mails(self: Task) -> None:
    """Notice mails that wait for too long."""
    self.edge(mails.watch)


@shared_task(bind=True, base=Task, name="alerts.report_given_up")
def report_given_up(self: Task, delivery_id: int) -> None:
    """Tell admins of a mail that was refused for good."""
    self.deliver(delivery_id, mails.report_given_up)
