"""What the model of money knows of customers and orders."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class Purse:
    """What a customer has, by the model."""

    user_id: int
    cash: int = 0
    bonus: int = 0
    gifts: dict[int, int] = field(default_factory=dict[int, int])
    """Request key to the entry's id."""
    gift_fen: dict[int, int] = field(default_factory=dict[int, int])
    taken_back: set[int] = field(default_factory=set[int])


@dataclass
class Wish:
    """An order, by the model."""

    id: int
    purse: Purse
    is_top_up: bool
    amount: int
    days: int
    closes_at: datetime
    status: str = "pending"
    bonus: int = 0
    refunded: int = 0
    keys: set[str] = field(default_factory=set[str])
    parts: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Amount, first day, days, days that are earned."""
    by_credit: bool = False
    codes: list[str] = field(default_factory=list[str])
    """Of a distributor's purchase."""
    earns: bool = False
    """It was ordered by a distributor's customer."""
    commission: list[int] = field(default_factory=list[int])
    """What was booked of it."""

    @property
    def left(self) -> int:
        return self.amount - self.refunded
