"""What follows on orders and money, and what time alone does to them."""

import contextlib

from celery import shared_task

from derpman.finance import asking, checking, earning, mails, rollups
from derpman.finance.gateways import Addresses
from derpman.kit.errors import DomainError, PermanentFailure
from derpman.kit.tasks import Task
from derpman.kit.work import UnitOfWork

ACCOUNTS_PER_PAGE = 1000


def _addresses(task: Task) -> Addresses:
    settings = task.app.conf.derpman_system.settings
    return Addresses(settings.alipay_url, settings.wechatpay_url, settings.public_url)


@shared_task(bind=True, base=Task, name="finance.begin_payment")
def begin_payment(self: Task, delivery_id: int) -> None:
    """Tell a gateway of an order, and keep the QR code that it gives."""
    payload = self.payload(delivery_id)
    if payload is None:
        return
    qr_text = None
    with contextlib.suppress(PermanentFailure, DomainError):  # the payment's row says why
        qr_text = asking.begin(self.edge, _addresses(self), payment_id=payload["payment_id"])

    def record(work: UnitOfWork, *, payment_id: int) -> None:
        asking.record_begun(work, payment_id=payment_id, qr_text=qr_text)

    self.deliver(delivery_id, record)


@shared_task(bind=True, base=Task, name="finance.close_payments")
def close_payments(self: Task, delivery_id: int) -> None:
    """Have gateways take no more money for an order."""
    payload = self.payload(delivery_id)
    if payload is not None:
        asking.close_order(self.edge, _addresses(self), order_id=payload["order_id"])
        self.deliver(delivery_id, _nothing_more)


def _nothing_more(work: UnitOfWork, *, order_id: int) -> None:
    """All was done on the way."""


@shared_task(bind=True, base=Task, name="finance.tell_credited")
def tell_credited(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, mails.tell_credited)


@shared_task(bind=True, base=Task, name="finance.tell_refused")
def tell_refused(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, mails.tell_refused)


@shared_task(bind=True, base=Task, name="finance.ask_gateways")
def ask_gateways(self: Task) -> None:
    """Ask about orders of which no notice came."""
    asking.ask_due(self.edge, _addresses(self))


@shared_task(bind=True, base=Task, name="finance.expire_orders")
def expire_orders(self: Task) -> None:
    """Close orders that were not paid in time."""
    asking.expire_due(self.edge, _addresses(self))


@shared_task(bind=True, base=Task, name="finance.book_days")
def book_days(self: Task) -> None:
    """Book what was earned on the days that are over."""
    self.edge(earning.book_days)


@shared_task(bind=True, base=Task, name="finance.roll_up")
def roll_up(self: Task) -> None:
    """Bring the statistics up to date."""
    self.edge(rollups.refresh)


@shared_task(bind=True, base=Task, name="finance.check_ledger")
def check_ledger(self: Task) -> None:
    """Check the ledger against itself and the orders, a thousand accounts a transaction."""
    after: int | None = 0
    while after is not None:
        after, _ = self.edge(checking.check_accounts, after=after, limit=ACCOUNTS_PER_PAGE)
    self.edge(checking.check_orders)
