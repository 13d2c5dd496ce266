"""Celery meets mails."""

from __future__ import annotations

from celery import shared_task

from derpman.kit.tasks import Task
from derpman.kit.work import UnitOfWork
from derpman.notifications import service
from derpman.notifications.post import post_office


@shared_task(bind=True, base=Task, name="notifications.send")
def send(self: Task, delivery_id: int) -> None:
    """Send soon after a mail was queued."""
    self.deliver(delivery_id, _nothing)
    _send_due(self)


@shared_task(bind=True, base=Task, name="notifications.send_due")
def send_due(self: Task) -> None:
    """Send what waited for its next try, or was left by a sender that is gone."""
    _send_due(self)


@shared_task(bind=True, base=Task, name="notifications.purge_allowances")
def purge_allowances(self: Task) -> None:
    """Forget counts of mails that no longer hold anything back."""
    self.edge(service.purge_allowances)


def _send_due(task: Task) -> None:
    office = post_office(task.edge, task.app.conf.derpman_system.settings)
    if office is not None:
        office.send_due()


def _nothing(_work: UnitOfWork, mail_id: int) -> None:
    """Do nothing: the mail's own row says that it waits; its delivery only makes it prompt."""
