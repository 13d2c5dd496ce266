"""The codes of serials: unguessable, easy to read and to type, and a typing error shows.

A code is nineteen random symbols (95 bits) and a check symbol. Symbols stand for the elements of
GF(32); a code is right when the sum of its symbols, each times the weight of its place, is zero.
The weights differ and none is zero, so that every single wrong symbol is found, and every two
symbols that changed places, neighbours or not.
"""

from __future__ import annotations

import secrets
import unicodedata

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
LENGTH = 20
GROUP = 5
_VALUES = {symbol: value for value, symbol in enumerate(ALPHABET)}
_WEIGHTS = (*range(2, LENGTH + 1), 1)  # the check symbol's is 1: it is the sum of the others
_POLYNOMIAL = 0b100101  # x⁵ + x² + 1, irreducible


def _times(one: int, other: int) -> int:
    product = 0
    while other:
        if other & 1:
            product ^= one
        one <<= 1
        if one & 0b100000:
            one ^= _POLYNOMIAL
        other >>= 1
    return product


_PRODUCTS = [[_times(weight, value) for value in range(32)] for weight in range(LENGTH + 1)]


def generate() -> str:
    """Return a new code, in groups."""
    random = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH - 1))
    return grouped(random + ALPHABET[_sum(random)])


def parse(typed: str) -> str | None:
    """Return the code that was typed, in groups; None when it has a typing error."""
    code = symbols_of(typed)
    if len(code) != LENGTH or not could_begin_with(code) or _sum(code) != 0:
        return None
    return grouped(code)


def symbols_of(typed: str) -> str:
    """Return what was typed in capitals, without width, spaces and dashes."""
    plain = unicodedata.normalize("NFKC", typed).upper()
    return "".join(
        char for char in plain if not char.isspace() and unicodedata.category(char) != "Pd"
    )


def could_begin_with(symbols: str) -> bool:
    """Tell whether a code may begin with these symbols."""
    return len(symbols) <= LENGTH and _VALUES.keys() >= set(symbols)


def grouped(symbols: str) -> str:
    """Return symbols in groups of five, as codes are stored and shown."""
    return "-".join(symbols[start : start + GROUP] for start in range(0, len(symbols), GROUP))


def _sum(symbols: str) -> int:
    total = 0
    for weight, symbol in zip(_WEIGHTS, symbols, strict=False):
        total ^= _PRODUCTS[weight][_VALUES[symbol]]
    return total
