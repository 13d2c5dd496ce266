"""What follows on ACLs."""

from celery import shared_task

from derpman.acl import mails
from derpman.kit.tasks import Task


@shared_task(bind=True, base=Task, name="acl.tell_replaced")
def tell_replaced(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, mails.tell_replaced)
