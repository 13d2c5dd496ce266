"""What happened to orders and money."""

from dataclasses import dataclass

from derpman.kit.outbox import Event


@dataclass(frozen=True)
class OrderPaid(Event):
    """The money is there, and what was bought is not yet: top-ups need nothing more."""

    name = "order.paid"
    order_id: int


@dataclass(frozen=True)
class OrderDelivered(Event):
    """What was bought is there."""

    name = "order.delivered"
    order_id: int


@dataclass(frozen=True)
class OrderClosed(Event):
    """Nobody will pay this order any more: gateways forget it."""

    name = "order.closed"
    order_id: int


@dataclass(frozen=True)
class OrderRefunded(Event):
    """Money of an order went back, all of it or a part."""

    name = "order.refunded"
    order_id: int
    entry_id: int


@dataclass(frozen=True)
class WalletCredited(Event):
    """Money came into a wallet of which its owner should hear."""

    name = "wallet.credited"
    entry_id: int


@dataclass(frozen=True)
class ReceiptRefused(Event):
    name = "receipt.refused"
    receipt_id: int


@dataclass(frozen=True)
class PaymentWanted(Event):
    """A customer wants to pay at a gateway, which must be told of the order first."""

    name = "payment.wanted"
    payment_id: int
