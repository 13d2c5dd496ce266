"""What follows on what others found out about servers."""

from celery import shared_task

from derpman.ha import service
from derpman.kit.tasks import Task


@shared_task(bind=True, base=Task, name="ha.follow_margin")
def follow_margin(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, service.follow_margin)
