"""Celery meets mails and channels."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from derpman.kit import outbox
from derpman.kit.outgoing import Outgoing
from derpman.kit.tasks import Task
from derpman.kit.work import UnitOfWork
from derpman.notifications import channels, service
from derpman.notifications.courier import Courier
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


@shared_task(bind=True, base=Task, name="notifications.announce")
def announce(self: Task, delivery_id: int) -> None:
    """Tell channels of an event whose name is one of `topics.TOPICS`."""

    def tell(work: UnitOfWork, **facts: Any) -> None:
        delivery = work.session.get(outbox.Delivery, delivery_id)
        assert delivery is not None  # it was finished in this transaction
        channels.announce(work, topic=delivery.event, facts=facts)

    self.deliver(delivery_id, tell)


@shared_task(bind=True, base=Task, name="notifications.tell_channels")
def tell_channels(self: Task, delivery_id: int) -> None:
    """Tell channels soon after there was something to tell."""
    self.deliver(delivery_id, _nothing)
    _tell_due(self)


@shared_task(bind=True, base=Task, name="notifications.tell_due")
def tell_due(self: Task) -> None:
    """Tell channels what waited for their next try, or was left by a sender that is gone."""
    _tell_due(self)


@shared_task(bind=True, base=Task, name="notifications.purge_messages")
def purge_messages(self: Task) -> None:
    """Forget what channels were told long ago."""
    while self.edge(channels.purge) == channels.PURGE_BATCH:
        pass


def _tell_due(task: Task) -> None:
    settings = task.app.conf.derpman_system.settings
    Courier(task.edge, Outgoing(allow_private=settings.allow_private_links)).send_due()


def _send_due(task: Task) -> None:
    office = post_office(task.edge, task.app.conf.derpman_system.settings)
    if office is not None:
        office.send_due()


def _nothing(_work: UnitOfWork, **_ids: Any) -> None:
    """Do nothing: what waits has rows of its own; the delivery only makes it prompt."""
