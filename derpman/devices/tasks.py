"""Celery tasks of devices."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task

from derpman.devices import forgetting, links, notices
from derpman.devices.links import Looker
from derpman.kit.outgoing import Outgoing
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
    """Look for a device that knocked in the linked tailnet, or mail the customer about it."""
    self.deliver(delivery_id, links.answer_knock)
    _look_due(self)


@shared_task(bind=True, base=Task, name="devices.look_due")
def look_due(self: Task) -> None:
    """Look at the linked tailnets whose time has come."""
    _look_due(self)


@shared_task(bind=True, base=Task, name="devices.look_soon")
def look_soon(self: Task, delivery_id: int) -> None:
    """Look at the linked tailnet of a customer whose service begins."""
    self.deliver(delivery_id, links.look_soon)
    _look_due(self)


@shared_task(bind=True, base=Task, name="devices.forget_linked")
def forget_linked(self: Task, delivery_id: int) -> None:
    """Follow no device any more of a tailnet that is not linked now."""
    self.deliver(delivery_id, links.forget)


@shared_task(bind=True, base=Task, name="devices.forget")
def forget(self: Task, delivery_id: int) -> None:
    """Remove the devices of an account that ends."""
    self.deliver(delivery_id, forgetting.forget)


@shared_task(bind=True, base=Task, name="devices.fit_to_plan")
def fit_to_plan(self: Task, delivery_id: int) -> None:
    """Remove the devices that a smaller plan has no place for."""
    self.deliver(delivery_id, forgetting.fit)


def _look_due(task: Task) -> None:
    settings = task.app.conf.derpman_system.settings
    Looker(
        task.edge,
        Outgoing(allow_private=settings.allow_private_links),
        settings.tailscale_api_url,
        timedelta(seconds=settings.link_poll_seconds),
    ).look_due()
