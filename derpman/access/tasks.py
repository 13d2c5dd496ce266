"""What follows forgotten passwords, and what time does to sessions."""

from __future__ import annotations

from celery import shared_task

from derpman.access import recovery, service
from derpman.kit.tasks import Task


@shared_task(bind=True, base=Task, name="access.send_reset")
def send_reset(self: Task, delivery_id: int) -> None:
    """Mail the code that sets a new password."""
    self.deliver(delivery_id, recovery.send_reset)


@shared_task(bind=True, base=Task, name="access.forget_old")
def forget_old(self: Task) -> None:
    """Delete sessions and resets that are long over."""
    for verb in (service.forget_old, recovery.forget_old):
        while self.edge(verb):
            pass
