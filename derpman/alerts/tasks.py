"""Celery meets alerts."""

from __future__ import annotations

from celery import shared_task

from derpman.alerts import announcing, mails
from derpman.kit.tasks import Task


@shared_task(bind=True, base=Task, name="alerts.watch_mails")
def watch_mails(self: Task) -> None:
    """Notice mails that wait for too long."""
    self.edge(mails.watch)


@shared_task(bind=True, base=Task, name="alerts.report_given_up")
def report_given_up(self: Task, delivery_id: int) -> None:
    """Tell admins of a mail that was refused for good."""
    self.deliver(delivery_id, mails.report_given_up)


@shared_task(bind=True, base=Task, name="alerts.tell_raised")
def tell_raised(self: Task, delivery_id: int) -> None:
    """Tell the operators' channels of an alert."""
    self.deliver(delivery_id, announcing.tell_raised)


@shared_task(bind=True, base=Task, name="alerts.tell_resolved")
def tell_resolved(self: Task, delivery_id: int) -> None:
    """Tell the operators' channels that an alert is over."""
    self.deliver(delivery_id, announcing.tell_resolved)


@shared_task(bind=True, base=Task, name="alerts.watch_channels")
def watch_channels(self: Task) -> None:
    """Notice channels that take nothing."""
    self.edge(announcing.watch_channels)
