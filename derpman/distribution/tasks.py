"""What follows on purchases and payments, and the end of a month."""

from celery import shared_task

from derpman.distribution import commissions, mails, purchasing, settlement
from derpman.kit.tasks import Task

AT_ONCE = 100


@shared_task(bind=True, base=Task, name="distribution.deliver_serials")
def deliver_serials(self: Task, delivery_id: int) -> None:
    """Make the serials of a purchase that was paid."""
    self.deliver(delivery_id, purchasing.deliver)


@shared_task(bind=True, base=Task, name="distribution.follow_order")
def follow_order(self: Task, delivery_id: int) -> None:
    """Book the commission of what was bought; nothing of other orders."""
    self.deliver(delivery_id, commissions.follow)


@shared_task(bind=True, base=Task, name="distribution.follow_refund")
def follow_refund(self: Task, delivery_id: int) -> None:
    """Take commission back, and serials that were paid back."""
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
    while True:
        found = self.edge.read(settlement.due, limit=AT_ONCE)
        settled = [bool(self.edge(settlement.settle, user_id=one)) for one in found]
        if not any(settled):
            return
