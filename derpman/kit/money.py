"""Money is integer fen; yuan exist only in texts and at the edge of the API."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

FEN_PER_YUAN = 100


def yuan(fen: int) -> Decimal:
    """Return fen as yuan with exactly two decimals."""
    return Decimal(fen).scaleb(-2).quantize(Decimal("0.01"))


def yuan_text(fen: int) -> str:
    """Return fen as people read it: ¥6.99, −¥0.05."""
    sign = "−" if fen < 0 else ""
    return f"{sign}¥{yuan(abs(fen)):,}"


def with_yuan(params: Mapping[str, object]) -> dict[str, object]:
    """Return a text's parameters with every amount, named `…_fen`, as people read it."""
    return {
        name: yuan_text(value) if name.endswith("_fen") and isinstance(value, int) else value
        for name, value in params.items()
    }
