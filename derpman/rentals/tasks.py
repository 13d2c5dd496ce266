"""What follows on rentals, and what time alone does to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from celery import shared_task

from derpman.kit.tasks import Task
from derpman.rentals import closing, expiry, mails, queries, service, terms
from derpman.users import closing as accounts

BATCH = 200
EXPIRY_BATCH = 500
log = structlog.get_logger(__name__)


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


@shared_task(bind=True, base=Task, name="rentals.tell_deregistered")
def tell_deregistered(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, mails.tell_deregistered)


@shared_task(bind=True, base=Task, name="rentals.end_expired")
def end_expired(self: Task) -> None:
    """End what is due, many in one transaction; where one of them fails, each in its own."""
    while due := self.edge.read(queries.expired, limit=EXPIRY_BATCH):
        try:
            ended = self.edge(expiry.end_many, rental_ids=due)
        except Exception:  # whatever it is: each is tried by itself, and what fails is told there
            log.exception("batch of expired rentals failed", rentals=len(due))
            ended = _each(self, service.end_expired, due)
        if ended == 0:
            return


@shared_task(bind=True, base=Task, name="rentals.send_notices")
def send_notices(self: Task) -> None:
    """Tell customers that their rentals expire, or their accounts are closed."""
    while due := self.edge.read(queries.notices_due, limit=BATCH):
        if _each(self, mails.send_notice, due) == 0:
            return


@shared_task(bind=True, base=Task, name="rentals.change_terms")
def change_terms(self: Task) -> None:
    """Have smaller plans hold whose time has come."""
    while due := self.edge.read(queries.changes_due, limit=BATCH):
        if _each(self, terms.change_due, due) == 0:
            return


def _each(task: Task, verb: Callable[..., object], rental_ids: Sequence[int]) -> int:
    """Run a verb on each in a transaction of its own: one that fails stops no other."""
    done = 0
    for rental_id in rental_ids:
        try:
            task.edge(verb, rental_id=rental_id)
            done += 1
        except Exception:  # whatever it is: the others are due as well, and it stays due
            log.exception("sweep failed on a rental", verb=verb.__name__, rental_id=rental_id)
    return done


@shared_task(bind=True, base=Task, name="rentals.deregister")
def deregister(self: Task) -> None:
    """Begin to close accounts that were not renewed, and close those whose relays are gone."""
    for user_id in self.edge.read(accounts.due, limit=BATCH):
        self.edge(closing.close_due, user_id=user_id)
    after = 0
    while under_way := self.edge.read(accounts.under_way, after=after, limit=BATCH):
        for user_id in under_way:
            self.edge(closing.finish, user_id=user_id)
        after = under_way[-1]
