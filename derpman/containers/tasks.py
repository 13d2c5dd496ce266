"""Celery meets containers."""

from __future__ import annotations

from celery import shared_task

from derpman.containers import reactions, reconcile
from derpman.kit.tasks import Task


@shared_task(bind=True, base=Task, name="containers.lift_of_alert")
def lift_of_alert(self: Task, delivery_id: int) -> None:
    """Let relays run as before once an alert is over."""
    self.deliver(delivery_id, reactions.lift_of_alert)


@shared_task(bind=True, base=Task, name="containers.resolve_unordered")
def resolve_unordered(self: Task) -> None:
    """Close alerts about relays that nobody ordered and that are gone."""
    self.edge(reconcile.resolve_unordered)
