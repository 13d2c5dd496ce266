"""What a class is worth, to the fen.

One rule: a share of an amount is rounded down to the fen, once, on the whole of an order. The
discount is that share of the list price of all its serials, and the price is what is left; the
commission is that share of what a customer paid in money and has not got back. So discount and
price add up to the list price, and of a refunded order nothing is left of its commission.
"""

from __future__ import annotations

from dataclasses import dataclass

WHOLE_BP = 10_000
"""Rates are hundredths of a percent."""


@dataclass(frozen=True)
class Price:
    """Of a purchase, in fen."""

    list_fen: int
    discount_fen: int

    @property
    def amount_fen(self) -> int:
        return self.list_fen - self.discount_fen


def share(fen: int, rate_bp: int) -> int:
    """Return a rate's share of an amount, rounded down."""
    return fen * rate_bp // WHOLE_BP


def price(unit_fen: int, quantity: int, rate_bp: int) -> Price:
    """Return what so many of a plan cost a distributor of a rate."""
    whole = unit_fen * quantity
    return Price(whole, share(whole, rate_bp))


def commission_base(amount_fen: int, bonus_fen: int, refunded_fen: int) -> int:
    """Return what of an order was paid in money and not given back: money goes back first."""
    return max(0, amount_fen - bonus_fen - refunded_fen)
