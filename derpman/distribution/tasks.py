"""What follows on purchases and payments, and the end of a month."""

from celery import shared_task

from derpman.distribution import checking, commissions, mails, purchasing, settlement
from derpman.kit.tasks import Task

AT_ONCE = 100
CHECKED_AT_ONCE = 1000


@shared_task(bind=True, base=Task, name="distribution.deliver_serials")
def deliver_serials(self: Task, delivery_id: int) -> None:
    """Make the serials of a purchase that was paid."""
    self.deliver(delivery_id, purchasing.deliver)


@shared_task(bind=True, base=Task, name="distribution.follow_order")
def follow_order(self: Task, delivery_id: int) -> None:
    """Book an order's commission, or take it back, and serials that were paid back with it."""
    self.deliver(delivery_id, commissions.follow)


@shared_task(bind=True, base=Task, name="distribution.tell_decided")
def tell_decided(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, mails.tell_decided)


@shared_task(bind=True, base=Task, name="distribution.tell_ready")
def tell_ready(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, mails.tell_ready)


@shared_task(bind=True, base=Task, name="distribution.tell_settled")
def tell_settled(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, mails.tell_settled)


@shared_task(bind=True, base=Task, name="distribution.settle_months")
def settle_months(self: Task) -> None:
    """Settle the months that are over, a distributor a transaction."""
    above = 0
    while found := self.edge.read(settlement.due, above=above, limit=AT_ONCE):
        for one in found:
            self.edge(settlement.settle, user_id=one)
        above = found[-1]


@shared_task(bind=True, base=Task, name="distribution.check_commissions")
def check_commissions(self: Task) -> None:
    """Check commissions against orders and the ledger, a page a transaction."""
    for check in (checking.check_orders, checking.check_payables):
        after: int | None = 0
        while after is not None:
            after, _ = self.edge(check, after=after, limit=CHECKED_AT_ONCE)
