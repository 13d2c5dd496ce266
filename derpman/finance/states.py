"""What an order, an attempt to pay it, and a proof of payment can be."""

from enum import StrEnum


class OrderStatus(StrEnum):
    PENDING = "pending"
    PAID = "paid"
    COMPLETED = "completed"
    RENEWED = "renewed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    EXPIRED = "expired"


class PaymentStatus(StrEnum):
    OPEN = "open"
    SUCCEEDED = "succeeded"
    CLOSED = "closed"


class ReceiptStatus(StrEnum):
    WAITING = "waiting"
    CONFIRMED = "confirmed"
    REFUSED = "refused"


TRANSITIONS = {
    (OrderStatus.PENDING, "pay"): OrderStatus.PAID,
    (OrderStatus.PENDING, "cancel"): OrderStatus.CANCELLED,
    (OrderStatus.PENDING, "expire"): OrderStatus.EXPIRED,
    (OrderStatus.PAID, "complete"): OrderStatus.COMPLETED,
    (OrderStatus.PAID, "renew"): OrderStatus.RENEWED,
    (OrderStatus.PAID, "refund"): OrderStatus.REFUNDED,
    (OrderStatus.COMPLETED, "refund"): OrderStatus.REFUNDED,
    (OrderStatus.RENEWED, "refund"): OrderStatus.REFUNDED,
}
"""`complete` and `renew` mean that what was bought is there; `refund` that all money went back."""

PAYMENT_TRANSITIONS = {
    (PaymentStatus.OPEN, "succeed"): PaymentStatus.SUCCEEDED,
    (PaymentStatus.OPEN, "close"): PaymentStatus.CLOSED,
    (PaymentStatus.CLOSED, "succeed"): PaymentStatus.SUCCEEDED,
}
"""Money may come after closing: it is the customer's all the same, and goes to his wallet."""

RECEIPT_TRANSITIONS = {
    (ReceiptStatus.WAITING, "confirm"): ReceiptStatus.CONFIRMED,
    (ReceiptStatus.WAITING, "refuse"): ReceiptStatus.REFUSED,
}

FULFILLED = (OrderStatus.COMPLETED, OrderStatus.RENEWED)
