"""Celery tasks of links and pushes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import shared_task

from derpman.kit.outgoing import Outgoing
from derpman.kit.tasks import Task
from derpman.kit.work import UnitOfWork
from derpman.tailnets import mails, push, service
from derpman.tailnets.control import ControlFailure
from derpman.tailnets.pusher import Pusher


@shared_task(bind=True, base=Task, name="tailnets.test_link")
def test_link(self: Task, delivery_id: int) -> None:
    """Find out whether a link works."""
    payload = self.payload(delivery_id)
    if payload is None:
        return
    link: dict[str, int] = payload
    failure: ControlFailure | None = None
    access = self.edge.read(service.access, link_id=link["link_id"])
    if access is not None and access.generation == link["generation"]:
        settings = self.app.conf.derpman_system.settings
        try:
            service.test(
                access.connect(
                    Outgoing(allow_private=settings.allow_private_links),
                    settings.tailscale_api_url,
                ),
                access,
            )
        except ControlFailure as error:
            failure = error

    def record(work: UnitOfWork, *, link_id: int, generation: int) -> None:
        if failure is None:
            service.record_success(work, link_id=link_id, generation=generation)
        else:
            service.record_failure(work, link_id=link_id, generation=generation, failure=failure)

    self.deliver(delivery_id, record)


@shared_task(bind=True, base=Task, name="tailnets.push")
def push_asked(self: Task, delivery_id: int) -> None:
    """Push soon after somebody asked for it."""
    self.deliver(delivery_id, _nothing)
    _push_due(self)


@shared_task(bind=True, base=Task, name="tailnets.push_replaced")
def push_replaced(self: Task, delivery_id: int) -> None:
    """Push a new version where its owner wants that by itself, and at once."""
    self.deliver(delivery_id, push.push_replaced)
    _push_due(self)


@shared_task(bind=True, base=Task, name="tailnets.push_due")
def push_due(self: Task) -> None:
    """Push what waited for its next try, or was left by a worker that is gone."""
    _push_due(self)


@shared_task(bind=True, base=Task, name="tailnets.push_missing")
def push_missing(self: Task) -> None:
    """Push every version that should stand in a policy and does not."""
    self.edge(push.push_missing)


@shared_task(bind=True, base=Task, name="tailnets.tell_refused")
def tell_refused(self: Task, delivery_id: int) -> None:
    """Mail a customer whose control server refuses us."""
    self.deliver(delivery_id, mails.tell_refused)


@shared_task(bind=True, base=Task, name="tailnets.tell_push_failed")
def tell_push_failed(self: Task, delivery_id: int) -> None:
    """Mail a customer whose policy could not be changed."""
    self.deliver(delivery_id, mails.tell_push_failed)


def _push_due(task: Task) -> None:
    settings = task.app.conf.derpman_system.settings
    Pusher(
        task.edge,
        Outgoing(allow_private=settings.allow_private_links),
        settings.tailscale_api_url,
        timedelta(days=settings.acl_grace_days),
    ).push_due()


def _nothing(_work: UnitOfWork, **_ids: Any) -> None:
    """Do nothing: what is to be done has rows of its own; the delivery only makes it prompt."""
