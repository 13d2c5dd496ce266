"""What follows on rentals, and what time alone does to them."""

from celery import shared_task

from derpman.kit.tasks import Task
from derpman.rentals import mails, queries, service

BATCH = 200


@shared_task(bind=True, base=Task, name="rentals.tell_activated")
def tell_activated(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, mails.tell_activated)


@shared_task(bind=True, base=Task, name="rentals.tell_renewed")
def tell_renewed(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, mails.tell_renewed)


@shared_task(bind=True, base=Task, name="rentals.tell_ended")
def tell_ended(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, mails.tell_ended)


@shared_task(bind=True, base=Task, name="rentals.tell_suspended")
def tell_suspended(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, mails.tell_suspended)


@shared_task(bind=True, base=Task, name="rentals.tell_reinstated")
def tell_reinstated(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, mails.tell_reinstated)


@shared_task(bind=True, base=Task, name="rentals.end_expired")
def end_expired(self: Task) -> None:
    """End what is due, each in a transaction of its own: one that fails stops no other."""
    for rental_id in self.edge.read(queries.expired, limit=BATCH):
        self.edge(service.end_expired, rental_id=rental_id)
