"""What paid orders become, and renewal from wallets."""

from celery import shared_task

from derpman.finance import auto_renewals
from derpman.kit.tasks import Task
from derpman.kit.work import UnitOfWork
from derpman.rentals import auto_renewal, fulfilment

BATCH = 200


@shared_task(bind=True, base=Task, name="rentals.fulfil_order")
def fulfil_order(self: Task, delivery_id: int) -> None:
    """Deliver what was paid."""
    region_base: int = self.app.conf.derpman_system.settings.region_base

    def fulfil(work: UnitOfWork, *, order_id: int) -> None:
        fulfilment.fulfil(work, order_id=order_id, region_base=region_base)

    self.deliver(delivery_id, fulfil)


@shared_task(bind=True, base=Task, name="rentals.renew_from_wallets")
def renew_from_wallets(self: Task) -> None:
    """Look at the rentals of who wants that, each in a transaction of its own."""
    for user_id in self.edge.read(auto_renewals.due, limit=BATCH):
        self.edge(auto_renewal.look_at, user_id=user_id)
