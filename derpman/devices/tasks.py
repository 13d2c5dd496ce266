"""Celery tasks of devices."""

from __future__ import annotations

from celery import shared_task

from derpman.devices import notices
from derpman.kit.tasks import Task


@shared_task(bind=True, base=Task, name="devices.tell_registered")
def tell_registered(self: Task, delivery_id: int) -> None:
    """Mail the customer about a new device."""
    self.deliver(delivery_id, notices.tell_registered)


@shared_task(bind=True, base=Task, name="devices.tell_removed")
def tell_removed(self: Task, delivery_id: int) -> None:
    """Mail the customer about a removed device."""
    self.deliver(delivery_id, notices.tell_removed)


@shared_task(bind=True, base=Task, name="devices.tell_knocked")
def tell_knocked(self: Task, delivery_id: int) -> None:
    """Mail the customer about a device that waits."""
    self.deliver(delivery_id, notices.tell_knocked)
