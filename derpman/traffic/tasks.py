"""What follows on rentals for their traffic, and what time alone does to it."""

from datetime import timedelta

from celery import shared_task

from derpman.kit.tasks import Task
from derpman.kit.work import UnitOfWork
from derpman.traffic import allowances, mails, queries, rollups, service
from derpman.traffic.calendar import day_of

BATCH = 500


@shared_task(bind=True, base=Task, name="traffic.follow_rental")
def follow_rental(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, _follow)


def _follow(work: UnitOfWork, *, rental_id: int, user_id: int, **_: object) -> None:
    service.follow(work, rental_id=rental_id, user_id=user_id)


@shared_task(bind=True, base=Task, name="traffic.tell_passed")
def tell_passed(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, mails.tell_passed)


@shared_task(bind=True, base=Task, name="traffic.tell_opened")
def tell_opened(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, mails.tell_opened)


@shared_task(bind=True, base=Task, name="traffic.tell_server_stopped")
def tell_server_stopped(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, mails.tell_server_stopped)


@shared_task(bind=True, base=Task, name="traffic.turn_periods")
def turn_periods(self: Task) -> None:
    """Open what is due, each in a transaction of its own: one that fails stops no other."""
    for rental_id in self.edge.read(queries.due_turns, limit=BATCH):
        self.edge(service.turn, rental_id=rental_id)


@shared_task(bind=True, base=Task, name="traffic.sum_up_servers")
def sum_up_servers(self: Task) -> None:
    self.edge(allowances.sum_up)


@shared_task(bind=True, base=Task, name="traffic.roll_up")
def roll_up(self: Task) -> None:
    """Put what was sent since the last hour into roll-ups, in batches."""
    after: int | None = 0
    while after is not None:
        after = self.edge(rollups.roll_relays, after=after)
    self.edge(rollups.roll_servers)


@shared_task(bind=True, base=Task, name="traffic.sum_up_days")
def sum_up_days(self: Task) -> None:
    """Sum up the last two days that are over, and forget what was kept long enough."""
    today = day_of(self.edge.clock())
    for day in (today - timedelta(days=2), today - timedelta(days=1)):
        after: int | None = 0
        while after is not None:
            after = self.edge(rollups.sum_day, day=day, after=after)
        self.edge(rollups.sum_server_day, day=day)
    while self.edge(rollups.forget_oldest):
        pass
