"""Amounts in texts."""

from __future__ import annotations

from derpman.alerts import texts
from derpman.finance.errors import TooMuchRefunded
from derpman.kit.money import with_yuan


def test_amounts_are_shown_in_yuan_and_all_else_as_it_is() -> None:
    params = {"left_fen": 160, "owed_fen": -5, "count": 160, "why_fen": None}
    assert with_yuan(params) == {
        "left_fen": "¥1.60",
        "owed_fen": "−¥0.05",
        "count": 160,
        "why_fen": None,
    }


def test_a_refusal_names_yuan_and_keeps_fen_for_programs() -> None:
    refusal = TooMuchRefunded(left_fen=123456)
    assert refusal.message == "Only ¥1,234.56 of this order are left to refund."
    assert refusal.params == {"left_fen": 123456}


def test_an_alert_names_yuan() -> None:
    params = {"order": "A1", "wanted_fen": 699, "paid_fen": 1, "channel": "x", "trade_no": "2"}
    for locale in ("en", "zh-CN"):
        said = texts.sentence("payment_amount", params, locale)
        assert "¥6.99" in said
        assert "¥0.01" in said
