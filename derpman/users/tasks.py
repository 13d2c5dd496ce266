"""What follows registrations and alerts, and what time does to registrations."""

from __future__ import annotations

from celery import shared_task

from derpman.kit.tasks import Task
from derpman.users import messages, registration


@shared_task(bind=True, base=Task, name="users.send_code")
def send_code(self: Task, delivery_id: int) -> None:
    """Mail the code of a registration."""
    self.deliver(delivery_id, registration.send_code)


@shared_task(bind=True, base=Task, name="users.forget_registrations")
def forget_registrations(self: Task) -> None:
    """Delete registrations that led to nothing."""
    while self.edge(registration.forget_old):
        pass


@shared_task(bind=True, base=Task, name="users.mail_admins_of_alert")
def mail_admins_of_alert(self: Task, delivery_id: int) -> None:
    """Tell the admins that something is wrong."""
    self.deliver(delivery_id, messages.mail_admins_of_alert)
