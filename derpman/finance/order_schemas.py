"""JSON of orders, receipts and wallets. Amounts are yuan with two decimals, and fen beside them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, computed_field

from derpman.finance.models import (
    EntryKind,
    Method,
    Order,
    OrderKind,
    Payment,
    Receipt,
)
from derpman.finance.states import (
    RECEIPT_TRANSITIONS,
    TRANSITIONS,
    OrderStatus,
    PaymentStatus,
    ReceiptStatus,
)
from derpman.kit.money import yuan
from derpman.kit.paging import SortedQuery, TimedQuery
from derpman.kit.states import allowed_actions
from derpman.kit.types import MAX_ID, Body, IdValue, Line, Out, Part

RequestKey = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]{8,48}$")]
"""Made by who asks, anew for each thing he wants: sent twice it is the same thing."""
Fen = Annotated[int, Field(ge=1, le=10**11)]
FilterId = Annotated[int, Field(ge=1, le=MAX_ID)]
Number = Annotated[str, StringConstraints(strip_whitespace=True, max_length=32)]

CUSTOMER_ACTIONS = {OrderStatus.PENDING: ["pay", "cancel"]}
STAFF_ACTIONS = frozenset({"complete", "renew", "cancel", "refund"})


class PlaceOrder(Body):
    kind: Literal[OrderKind.RENTAL, OrderKind.TOP_UP] = OrderKind.RENTAL
    plan_id: IdValue | None = None
    amount_fen: Fen | None = None
    """Of a top-up."""
    method: Method
    request_key: RequestKey


class Pay(Body):
    method: Method


class Cancel(Body):
    reason: Line | None = None


class Because(Body):
    reason: Line


class Refund(Body):
    fen: Fen | None = None
    """All that is left when it is not given."""
    reason: Line
    request_key: RequestKey


class OrdersQuery(SortedQuery):
    status: OrderStatus | None = None
    kind: OrderKind | None = None
    method: Method | None = None
    user_id: FilterId | None = None
    plan_id: FilterId | None = None
    distributor_id: FilterId | None = None
    number: Number | None = None
    """The whole of it, or how it begins."""


class OrderOut(Part):
    id: int
    number: str
    user_id: int
    username: str | None
    kind: OrderKind
    plan_id: int | None
    plan: str | None
    duration_days: int
    quantity: int
    list_fen: int
    amount_fen: int
    cash_fen: int
    bonus_fen: int
    refunded_fen: int
    status: OrderStatus
    method: Method
    distributor_id: int | None
    rental_id: int | None
    reason: str | None
    created_at: datetime
    closes_at: datetime
    paid_at: datetime | None
    done_at: datetime | None
    closed_at: datetime | None
    allowed_actions: list[str]

    @computed_field
    @property
    def amount(self) -> Decimal:
        return yuan(self.amount_fen)

    @computed_field
    @property
    def refunded(self) -> Decimal:
        return yuan(self.refunded_fen)

    @classmethod
    def of(
        cls, order: Order, usernames: dict[int, str], plans: dict[int, str], *, is_staff: bool
    ) -> Self:
        actions = CUSTOMER_ACTIONS.get(order.status, [])
        if is_staff:
            possible = allowed_actions(TRANSITIONS, order.status)
            actions = [action for action in possible if action in STAFF_ACTIONS]
            if order.kind is OrderKind.TOP_UP:
                actions = [action for action in actions if action == "cancel"]
        columns = {
            name: getattr(order, name)
            for name in cls.model_fields
            if name not in {"username", "plan", "allowed_actions"}
        }
        return cls(
            **columns,
            username=usernames.get(order.user_id),
            plan=plans.get(order.plan_id or 0),
            allowed_actions=actions,
        )


class PaymentOut(Part):
    channel: Method
    status: PaymentStatus
    qr_text: str | None
    """What a QR code says that pays; null until the gateway has given it."""
    page_url: str | None
    """A page that pays, where the channel has one."""
    answer: str | None

    @classmethod
    def of(cls, payment: Payment, page_url: str | None) -> Self:
        is_open = payment.status is PaymentStatus.OPEN
        return cls(
            channel=payment.channel,
            status=payment.status,
            qr_text=payment.qr_text if is_open else None,
            page_url=page_url,
            answer=payment.answer,
        )


class OrdersOut(Out):
    orders: list[OrderOut]
    next_before: int | None


class OneOrderOut(Out):
    order: OrderOut
    payments: list[PaymentOut] = []


class StepOut(Part):
    at: datetime
    what: str
    """A stable word."""
    detail: str
    """In English, for people."""


class TraceOut(Out):
    order: OrderOut
    verdict: str
    """Why the order is not paid, or how it was."""
    steps: list[StepOut]


class AccountOut(Part):
    """Where to transfer money to; the reference is the order's number."""

    method: Method
    account: str | None
    account_name: str | None
    qr_text: str | None


class MethodsOut(Out):
    methods: list[Method]
    accounts: list[AccountOut]


class ReceiptsQuery(TimedQuery):
    status: ReceiptStatus | None = None
    order_id: FilterId | None = None


class ReceiptOut(Part):
    id: int
    order_id: int
    order_number: str
    amount_fen: int
    user_id: int
    username: str | None
    status: ReceiptStatus
    note: str | None
    same_picture: int
    """How many other receipts show the very same picture."""
    created_at: datetime
    decided_at: datetime | None
    decided_by: int | None
    reason: str | None
    allowed_actions: list[str]

    @computed_field
    @property
    def amount(self) -> Decimal:
        return yuan(self.amount_fen)

    @classmethod
    def of(cls, receipt: Receipt, order: Order, usernames: dict[int, str], same: int) -> Self:
        return cls(
            id=receipt.id,
            order_id=receipt.order_id,
            order_number=order.number,
            amount_fen=order.amount_fen,
            user_id=receipt.user_id,
            username=usernames.get(receipt.user_id),
            status=receipt.status,
            note=receipt.note,
            same_picture=same,
            created_at=receipt.created_at,
            decided_at=receipt.decided_at,
            decided_by=receipt.decided_by,
            reason=receipt.reason,
            allowed_actions=allowed_actions(RECEIPT_TRANSITIONS, receipt.status),
        )


class ReceiptsOut(Out):
    receipts: list[ReceiptOut]
    next_before: int | None


class OneReceiptOut(Out):
    receipt: ReceiptOut


class WalletOut(Out):
    cash_fen: int
    bonus_fen: int
    payable_fen: int
    """What a distributor has earned and was not settled."""

    @computed_field
    @property
    def balance_fen(self) -> int:
        return self.cash_fen + self.bonus_fen

    @computed_field
    @property
    def balance(self) -> Decimal:
        return yuan(self.balance_fen)


class MovementOut(Part):
    entry_id: int
    kind: EntryKind
    at: datetime
    order_id: int | None
    order_number: str | None
    reason: str | None
    cash_fen: int
    bonus_fen: int
    payable_fen: int

    @computed_field
    @property
    def amount(self) -> Decimal:
        return yuan(self.cash_fen + self.bonus_fen + self.payable_fen)


class StatementOut(Out):
    movements: list[MovementOut]
    next_before: int | None


class EntryOut(Out):
    entry_id: int


class DoneOut(Out):
    pass
