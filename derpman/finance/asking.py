"""Conversations with gateways: a read, a call without a transaction, a record."""

from __future__ import annotations

import structlog

from derpman.finance import orders, payments
from derpman.finance.gateways import Addresses, gateway_of
from derpman.finance.models import Payment
from derpman.finance.payments import Errand
from derpman.finance.states import PaymentStatus
from derpman.kit.errors import DomainError, PermanentFailure, TransientFailure
from derpman.kit.work import Edge, UnitOfWork

log = structlog.get_logger(__name__)
MOST_ASKED, MOST_CLOSED = 50, 100
FAILURES = (TransientFailure, PermanentFailure, DomainError)


def begin(edge: Edge, addresses: Addresses, *, payment_id: int) -> str | None:
    """Tell a gateway of an order; return the QR text, or None when nobody needs it any more."""
    errand = edge.read(payments.errand, payment_id)
    if errand is None or errand.status is not PaymentStatus.OPEN:
        return None
    try:
        return gateway_of(errand.channel, errand.credentials, addresses).begin(errand.bill)
    except FAILURES as error:
        edge(payments.record_answer, payment_id=payment_id, answer=str(error))
        raise


def ask_due(edge: Edge, addresses: Addresses) -> int:
    """Ask gateways about payments whose time has come; one that is away stops no other."""
    due = edge(payments.lease_due, limit=MOST_ASKED)
    for payment_id in due:
        ask(edge, addresses, payment_id)
    return len(due)


def ask(edge: Edge, addresses: Addresses, payment_id: int) -> str | None:
    """Ask about one payment and act on the answer; None when there was none."""
    errand = edge.read(payments.errand, payment_id)
    if errand is None:
        return None
    try:
        told = gateway_of(errand.channel, errand.credentials, addresses).ask(errand.bill.number)
    except FAILURES as error:
        log.warning("gateway not asked", channel=errand.channel, error=str(error))
        edge(payments.record_answer, payment_id=payment_id, answer=str(error))
        return None
    return edge(payments.record_told, payment_id=payment_id, told=told)


def close(edge: Edge, addresses: Addresses, payment_id: int) -> None:
    """Have a gateway take no more for an order; if it was paid at this moment, book that."""
    errand = edge.read(payments.errand, payment_id)
    if errand is None:
        return
    try:
        gateway_of(errand.channel, errand.credentials, addresses).close(errand.bill.number)
    except PermanentFailure:  # it says so of orders that are paid
        ask(edge, addresses, payment_id)
    except FAILURES as error:
        log.warning("gateway not told", channel=errand.channel, error=str(error))


def close_order(edge: Edge, addresses: Addresses, *, order_id: int) -> None:
    """Close what is open at gateways of an order that is closed or was paid in another way."""
    for payment_id in edge.read(payments.open_at_gateways, order_id):
        close(edge, addresses, payment_id)


def expire_due(edge: Edge, addresses: Addresses) -> int:
    """Close orders whose time is over, after asking their gateways a last time."""
    due = edge.read(payments.due_orders, limit=MOST_CLOSED)
    for order_id in due:
        for payment_id in edge.read(payments.open_at_gateways, order_id):
            ask(edge, addresses, payment_id)
        edge(orders.expire, order_id=order_id)
    return len(due)


def page_of(edge: Edge, addresses: Addresses, *, payment_id: int, return_url: str) -> str | None:
    """Return the address of a gateway's page for a payment; nobody is asked."""
    errand: Errand | None = edge.read(payments.errand, payment_id)
    if errand is None or errand.status is not PaymentStatus.OPEN:
        return None
    gateway = gateway_of(errand.channel, errand.credentials, addresses)
    return gateway.page(errand.bill, return_url)


def record_begun(work: UnitOfWork, *, payment_id: int, qr_text: str | None) -> None:
    """Keep what `begin` returned."""
    if qr_text is not None and work.session.get(Payment, payment_id) is not None:
        payments.record_begun(work, payment_id=payment_id, qr_text=qr_text)
