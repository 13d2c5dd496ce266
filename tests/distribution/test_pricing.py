"""A share is rounded down once, and the cents always add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derpman.distribution import pricing
from derpman.distribution.terms import FIRST_RATES

FEN = st.integers(0, 10**9)
RATES = st.integers(0, 9000)


@pytest.mark.parametrize(
    ("unit", "quantity", "rate", "discount"),
    [
        (699, 1, 2000, 139),  # 139.8
        (699, 5, 2000, 699),
        (699, 3, 1500, 314),  # 314.55
        (699, 7, 1000, 489),  # 489.3
        (1, 4, 2000, 0),
        (1, 5, 2000, 1),
    ],
)
def test_a_discount_is_a_share_of_the_whole_order(
    unit: int, quantity: int, rate: int, discount: int
):
    price = pricing.price(unit, quantity, rate)
    assert (price.list_fen, price.discount_fen) == (unit * quantity, discount)
    assert price.amount_fen == unit * quantity - discount


@given(
    unit=FEN,
    quantity=st.integers(1, 1000),
    rate=RATES | st.sampled_from(list(FIRST_RATES.values())),
)
def test_discount_and_price_add_up_and_no_fen_is_lost(unit: int, quantity: int, rate: int):
    price = pricing.price(unit, quantity, rate)
    assert price.discount_fen + price.amount_fen == price.list_fen
    assert 0 <= price.list_fen * rate - price.discount_fen * 10_000 < 10_000


@given(amount=FEN, rate=RATES, data=st.data())
def test_of_whatever_is_refunded_the_commission_comes_back_to_the_fen(
    amount: int, rate: int, data: st.DataObject
):
    bonus = data.draw(st.integers(0, amount))
    booked, refunded = 0, 0
    for part in data.draw(st.lists(st.integers(0, amount), max_size=5)):
        refunded = min(amount, refunded + part)
        due = pricing.share(pricing.commission_base(amount, bonus, refunded), rate)
        booked += due - booked
        assert 0 <= booked <= pricing.share(amount, rate)
    assert pricing.share(pricing.commission_base(amount, bonus, amount), rate) == 0
