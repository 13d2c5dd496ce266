"""The words in which gateways are spoken to, whichever it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class TradeState(StrEnum):
    PAID = "paid"
    WAITING = "waiting"
    CLOSED = "closed"
    OTHER = "other"  # refunds and the like: not about an order being paid


@dataclass(frozen=True)
class Bill:
    """An order as a gateway sees it."""

    number: str
    fen: int
    subject: str
    closes_at: datetime


@dataclass(frozen=True)
class Told:
    """What a gateway says of an order. `fen` is the order's price, not what was discounted."""

    number: str
    trade_no: str
    fen: int
    state: TradeState


YUAN = re.compile(r"(0|[1-9][0-9]{0,8})\.([0-9]{2})")
TEXT = re.compile(r"[0-9A-Za-z_|*@-]{1,64}")


def fen_of(yuan: str) -> int | None:
    """Return an amount as fen when it is written as gateways write it, `6.99`, else None."""
    found = YUAN.fullmatch(yuan)
    return None if found is None else int(found[1]) * 100 + int(found[2])


def yuan_of(fen: int) -> str:
    """Return fen as gateways want yuan: `6.99`."""
    return str(Decimal(fen).scaleb(-2).quantize(Decimal("0.01")))
