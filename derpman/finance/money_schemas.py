"""JSON of the owner's figures and of the ways of paying."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from derpman.finance.models import Method, PaymentChannel
from derpman.finance.statistics import Line as Sums
from derpman.kit.money import yuan
from derpman.kit.types import Body, Line, Out, Part

Version = Annotated[int, Field(ge=0)]
Key = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8192)]
Word = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[0-9A-Za-z_-]{1,64}$")]
Account = Annotated[Line, Field(max_length=128)]
QrText = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[!-~]{1,512}$")]


class Span(BaseModel):
    """Days in Beijing, both included, three years at most; this month when left out."""

    model_config = ConfigDict(extra="forbid")
    first: date | None = None
    last: date | None = None


class By(Span):
    by: Literal["day", "plan", "distributor"] = "day"


class SumsOut(Part):
    """Sums of a day, a plan or a distributor: yuan, and `_fen` beside them."""

    key: str
    id: int
    name: str
    orders: int
    received: Decimal
    sold: Decimal
    discount: Decimal
    refunded: Decimal
    earned: Decimal
    commission: Decimal
    received_fen: int
    sold_fen: int
    discount_fen: int
    refunded_fen: int
    earned_fen: int
    commission_fen: int

    @classmethod
    def of(cls, line: Sums) -> Self:
        values: dict[str, Any] = asdict(line)
        money: dict[str, Any] = {
            name.removesuffix("_fen"): yuan(value)
            for name, value in values.items()
            if name.endswith("_fen")
        }
        return cls(**{name: (values | money)[name] for name in cls.model_fields})


class StatisticsOut(Out):
    """`revenue` is money received; `earned` is what of it was served."""

    total_revenue: Decimal
    total_revenue_fen: int
    month_revenue: Decimal
    month_revenue_fen: int
    span_revenue: Decimal
    span_revenue_fen: int
    total_earned: Decimal
    total_earned_fen: int
    month_earned: Decimal
    month_earned_fen: int
    deferred: Decimal
    deferred_fen: int
    prepaid_balance: Decimal
    prepaid_balance_fen: int
    bonus_balance: Decimal
    bonus_balance_fen: int
    total_orders: int
    first: date
    last: date
    plans: list[SumsOut]


class RecentOut(Out):
    """Today beside the same day a week ago (all of it), seven days beside the seven before."""

    today: SumsOut
    week_ago: SumsOut
    week: SumsOut
    week_before: SumsOut


class SumsListOut(Out):
    lines: list[SumsOut]


class SetAccount(Body):
    version: Version
    is_enabled: bool
    account: Account
    account_name: Account
    qr_text: QrText | None = None
    """What the QR code of the account says; it is drawn anew from it."""


class AlipayCredentials(Body):
    app_id: Word
    seller_id: Word
    private_key: Key
    alipay_public_key: Key


class WeChatCredentials(Body):
    app_id: Word
    mchid: Word
    cert_serial_no: Word
    private_key: Key
    apiv3_key: Word
    public_key: Key
    public_key_id: Word


class SetAlipay(Body):
    version: Version
    is_enabled: bool
    credentials: AlipayCredentials | None = None
    """Those that are there stay when it is not given; they are never shown."""


class SetWeChat(Body):
    version: Version
    is_enabled: bool
    credentials: WeChatCredentials | None = None


class ChannelOut(Part):
    method: Method
    is_enabled: bool
    account: str | None
    account_name: str | None
    qr_text: str | None
    has_credentials: bool
    notify_url: str | None
    updated_at: datetime
    version: int

    @classmethod
    def of(cls, channel: PaymentChannel, notify_url: str | None) -> Self:
        return cls(
            method=channel.method,
            is_enabled=channel.is_enabled,
            account=channel.account,
            account_name=channel.account_name,
            qr_text=channel.qr_text,
            has_credentials=channel.credentials is not None,
            notify_url=notify_url,
            updated_at=channel.updated_at,
            version=channel.version,
        )


class ChannelsOut(Out):
    channels: list[ChannelOut]


class OneChannelOut(Out):
    channel: ChannelOut
