"""Tables of plans, of the ledger, of orders and of what pays them."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from derpman.finance.states import OrderStatus, PaymentStatus, ReceiptStatus
from derpman.kit.db import Base
from derpman.kit.types import SEALED, Id, LongText, UtcDateTime, enum_column


class OverQuota(StrEnum):
    STOP = "stop"
    THROTTLE = "throttle"


class Plan(Base):
    """Length, price, traffic, speed and devices of a rental."""

    __tablename__ = "plans"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    duration_days: Mapped[int] = mapped_column(index=True)
    price_fen: Mapped[int] = mapped_column(BigInteger)
    traffic_bytes: Mapped[int] = mapped_column(BigInteger)
    """Per 30 days; a shorter plan has this amount once."""
    rate_bytes_per_second: Mapped[int] = mapped_column(BigInteger)
    """Speed of one device, 0 for no limit."""
    device_limit: Mapped[int] = mapped_column()
    over_quota: Mapped[OverQuota] = mapped_column(enum_column(OverQuota))
    throttle_bytes_per_second: Mapped[int] = mapped_column(BigInteger)
    retired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class PlanPrice(Base):
    """What a plan cost from an instant on: the newest row of a plan is its price now."""

    __tablename__ = "plan_prices"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id"), index=True)
    price_fen: Mapped[int] = mapped_column(BigInteger)
    actor_id: Mapped[int | None] = mapped_column(Id)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AccountKind(StrEnum):
    """What an account stands for. A positive balance is money that somebody has or has earned."""

    CASH = "cash"  # a user's prepaid money
    BONUS = "bonus"  # what a user was given: spent before his cash, never paid out
    PAYABLE = "payable"  # what a distributor has earned and was not settled
    CREDIT = "credit"  # negative by what a distributor was given and has not paid yet
    ALIPAY = "alipay"  # clearing: negative by what came in through the gateway
    WECHAT = "wechat"
    MANUAL = "manual"  # the same for transfers whose receipt an admin confirmed
    DEFERRED = "deferred"  # paid and not yet served
    REVENUE = "revenue"  # served
    REFUNDS = "refunds"  # negative by what was served and given back all the same
    COMPENSATION = "compensation"  # negative by the bonus that was given
    COMMISSION = "commission"  # negative by what distributors have earned


OWNED = frozenset({AccountKind.CASH, AccountKind.BONUS, AccountKind.PAYABLE, AccountKind.CREDIT})
"""Each user has his own of these; its balance is kept beside it and checked against the entries."""
NEVER_NEGATIVE = frozenset({AccountKind.CASH, AccountKind.BONUS})
RECEIVING = frozenset({AccountKind.ALIPAY, AccountKind.WECHAT, AccountKind.MANUAL})


class Account(Base):
    """An account of the ledger."""

    __tablename__ = "ledger_accounts"
    __table_args__ = (
        UniqueConstraint("kind", "user_id"),
        CheckConstraint("balance_fen >= 0 OR kind NOT IN ('cash', 'bonus')", "not_negative"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[AccountKind] = mapped_column(enum_column(AccountKind))
    user_id: Mapped[int] = mapped_column(Id, index=True)
    """Whose it is; 0 when it is ours."""
    balance_fen: Mapped[int] = mapped_column(BigInteger)
    """Of an owned account the sum of its transfers; of ours always 0: nobody waits on its row."""


class EntryKind(StrEnum):
    ORDER_PAID = "order_paid"
    TOP_UP = "top_up"
    LATE_MONEY = "late_money"  # for an order that was closed or paid already
    EARNED = "earned"
    GIVEN_BACK = "given_back"  # paid, and could not be delivered
    REFUND = "refund"
    COMPENSATION = "compensation"
    COMMISSION = "commission"
    COMMISSION_BACK = "commission_back"
    SETTLEMENT = "settlement"
    REPAYMENT = "repayment"  # of credit, from a wallet
    REVERSAL = "reversal"


class JournalEntry(Base):
    """Why money moved, once: the key makes a second booking of the same fact impossible."""

    __tablename__ = "journal_entries"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[EntryKind] = mapped_column(enum_column(EntryKind))
    booking_key: Mapped[str] = mapped_column(String(160), unique=True)
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"), index=True)
    user_id: Mapped[int | None] = mapped_column(Id)
    plan_id: Mapped[int | None] = mapped_column(Id)
    distributor_id: Mapped[int | None] = mapped_column(Id)
    reverses_id: Mapped[int | None] = mapped_column(ForeignKey("journal_entries.id"), unique=True)
    booked_on: Mapped[date] = mapped_column(index=True)
    """The day in Beijing."""
    note: Mapped[str | None] = mapped_column(String(500))
    actor_id: Mapped[int | None] = mapped_column(Id)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Transfer(Base):
    """Money from one account to another: an entry of transfers cannot but sum to zero."""

    __tablename__ = "ledger_transfers"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", "positive"),
        CheckConstraint("debit_id <> credit_id", "two_accounts"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    entry_id: Mapped[int] = mapped_column(ForeignKey("journal_entries.id"), index=True)
    debit_id: Mapped[int] = mapped_column(ForeignKey("ledger_accounts.id"), index=True)
    """Where it came from."""
    credit_id: Mapped[int] = mapped_column(ForeignKey("ledger_accounts.id"), index=True)
    amount_fen: Mapped[int] = mapped_column(BigInteger)


class OrderKind(StrEnum):
    RENTAL = "rental"  # opens a rental or extends it
    TOP_UP = "top_up"  # fills the wallet
    SERIALS = "serials"  # a distributor's purchase


class Method(StrEnum):
    """How an order is paid."""

    WALLET = "wallet"
    ALIPAY = "alipay"
    WECHAT = "wechat"
    ALIPAY_TRANSFER = "alipay_transfer"
    WECHAT_TRANSFER = "wechat_transfer"
    CREDIT = "credit"  # a distributor's, up to his limit
    NONE = "none"  # an admin's gift of time, of price zero


GATEWAYS = frozenset({Method.ALIPAY, Method.WECHAT})
TRANSFERS = frozenset({Method.ALIPAY_TRANSFER, Method.WECHAT_TRANSFER})


class Order(Base):
    """What somebody wants to buy, at the price of that moment."""

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("user_id", "request_key"),
        Index("ix_orders_status_closes_at", "status", "closes_at"),
        Index("ix_orders_status_id", "status", "id"),
        CheckConstraint("refunded_fen <= amount_fen", "refunded"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    number: Mapped[str] = mapped_column(String(32), unique=True)
    """What gateways and customers call it."""
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    request_key: Mapped[str] = mapped_column(String(64))
    """Chosen by who orders: the same key is the same order, however often it is sent."""
    kind: Mapped[OrderKind] = mapped_column(enum_column(OrderKind))
    plan_id: Mapped[int | None] = mapped_column(ForeignKey("plans.id"), index=True)
    duration_days: Mapped[int] = mapped_column()
    quantity: Mapped[int] = mapped_column()
    list_fen: Mapped[int] = mapped_column(BigInteger)
    amount_fen: Mapped[int] = mapped_column(BigInteger)
    cash_fen: Mapped[int] = mapped_column(BigInteger, default=0)
    bonus_fen: Mapped[int] = mapped_column(BigInteger, default=0)
    """Of what was paid; the rest came from outside."""
    refunded_fen: Mapped[int] = mapped_column(BigInteger, default=0)
    status: Mapped[OrderStatus] = mapped_column(enum_column(OrderStatus))
    method: Mapped[Method] = mapped_column(enum_column(Method))
    """The last one chosen while it was pending; then the one that paid."""
    distributor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    rental_id: Mapped[int | None] = mapped_column(Id)
    reason: Mapped[str | None] = mapped_column(String(500))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closes_at: Mapped[datetime] = mapped_column(UtcDateTime)
    paid_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class Payment(Base):
    """An order at a gateway: what to show, when to ask, how it ended."""

    __tablename__ = "payments"
    __table_args__ = (
        UniqueConstraint("order_id", "channel"),
        Index("ix_payments_ask_at", "ask_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    channel: Mapped[Method] = mapped_column(enum_column(Method))
    status: Mapped[PaymentStatus] = mapped_column(enum_column(PaymentStatus))
    qr_text: Mapped[str | None] = mapped_column(String(512))
    trade_no: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ask_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the gateway is asked next; for a while also after closing, for money that came late."""
    asked: Mapped[int] = mapped_column()
    succeeded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    answer: Mapped[str | None] = mapped_column(String(300))
    """What the gateway said last, in words."""


class PaymentNotice(Base):
    """What a gateway told us, as it came, and what became of it."""

    __tablename__ = "payment_notices"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    channel: Mapped[Method] = mapped_column(enum_column(Method))
    order_number: Mapped[str] = mapped_column(String(64), index=True)
    trade_no: Mapped[str] = mapped_column(String(64))
    verdict: Mapped[str] = mapped_column(String(64))
    is_answer: Mapped[bool] = mapped_column()
    """Whether we had asked."""
    headers: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(LongText)
    ip_address: Mapped[str] = mapped_column(String(45))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Receipt(Base):
    """A customer's proof that he transferred the money, waiting for an admin."""

    __tablename__ = "receipts"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    open_order_id: Mapped[int | None] = mapped_column(Id, unique=True)
    """The order while this waits: one proof of an order waits at a time."""
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    status: Mapped[ReceiptStatus] = mapped_column(enum_column(ReceiptStatus), index=True)
    note: Mapped[str | None] = mapped_column(String(200))
    digest: Mapped[str] = mapped_column(String(64), index=True)
    """Of the picture's points: the same proof for two orders is noticed."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_by: Mapped[int | None] = mapped_column(Id)
    reason: Mapped[str | None] = mapped_column(String(200))


class ReceiptImage(Base):
    """The picture of a receipt, made anew by us from its points."""

    __tablename__ = "receipt_images"

    receipt_id: Mapped[int] = mapped_column(
        ForeignKey("receipts.id"), primary_key=True, autoincrement=False
    )
    data: Mapped[bytes] = mapped_column(LargeBinary(4_000_000))


class PaymentChannel(Base):
    """How customers can pay us: a receiving account to show, or a gateway's credentials."""

    __tablename__ = "payment_channels"

    method: Mapped[Method] = mapped_column(enum_column(Method), primary_key=True)
    is_enabled: Mapped[bool] = mapped_column()
    account: Mapped[str | None] = mapped_column(String(128))
    account_name: Mapped[str | None] = mapped_column(String(128))
    qr_text: Mapped[str | None] = mapped_column(String(512))
    credentials: Mapped[str | None] = mapped_column(LongText, info=SEALED)
    """Sealed JSON."""
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class Earning(Base):
    """A part of an order's price that is earned by the day; days are counted from 0001-01-01."""

    __tablename__ = "order_earnings"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    plan_id: Mapped[int | None] = mapped_column(Id)
    distributor_id: Mapped[int | None] = mapped_column(Id)
    amount_fen: Mapped[int] = mapped_column(BigInteger)
    first_day: Mapped[int] = mapped_column()
    days: Mapped[int] = mapped_column()
    last_day: Mapped[int] = mapped_column(index=True)
    """The last day that is earned: before the end when it was cut short."""


class AutoRenewal(Base):
    """A customer's wish that his wallet renews his rental before it ends."""

    __tablename__ = "auto_renewals"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id"), primary_key=True, autoincrement=False
    )
    plan_id: Mapped[int | None] = mapped_column(ForeignKey("plans.id"))
    """None: the plan that he has."""
    check_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class FinanceDay(Base):
    """A day's sums, made from the ledger and made anew from it at will. 0 stands for none."""

    __tablename__ = "finance_days"

    day: Mapped[date] = mapped_column(primary_key=True)
    plan_id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    distributor_id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    orders: Mapped[int] = mapped_column(BigInteger)
    sold_fen: Mapped[int] = mapped_column(BigInteger)
    discount_fen: Mapped[int] = mapped_column(BigInteger)
    received_fen: Mapped[int] = mapped_column(BigInteger)
    refunded_fen: Mapped[int] = mapped_column(BigInteger)
    earned_fen: Mapped[int] = mapped_column(BigInteger)
    commission_fen: Mapped[int] = mapped_column(BigInteger)
    cash_fen: Mapped[int] = mapped_column(BigInteger)
    bonus_fen: Mapped[int] = mapped_column(BigInteger)
    deferred_fen: Mapped[int] = mapped_column(BigInteger)
    """By how much all wallets, and what is paid and not earned, grew that day."""


class FinanceMark(Base):
    """How far a sweep of finance has come."""

    __tablename__ = "finance_marks"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)
