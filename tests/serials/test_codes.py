from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from derpman.serials import codes

made = st.builds(codes.generate)
places = st.integers(0, codes.LENGTH - 1)


def test_alphabet_has_nothing_that_looks_like_something_else():
    assert len(codes.ALPHABET) == len(set(codes.ALPHABET)) == 32
    assert not set("01IOio") & set(codes.ALPHABET)


def test_codes_differ_and_come_in_groups():
    some = {codes.generate() for _ in range(1000)}
    assert len(some) == 1000
    assert all([len(group) for group in code.split("-")] == [5, 5, 5, 5] for code in some)


@given(made)
def test_code_is_read_as_it_was_made(code: str):
    assert codes.parse(code) == code


@given(made, places, st.sampled_from(codes.ALPHABET))
def test_every_wrong_symbol_is_found(code: str, place: int, symbol: str):
    symbols = codes.symbols_of(code)
    wrong = symbols[:place] + symbol + symbols[place + 1 :]
    assert (codes.parse(wrong) is None) == (wrong != symbols)


@given(made, places, places)
def test_every_exchange_of_two_symbols_is_found(code: str, one: int, other: int):
    symbols = list(codes.symbols_of(code))
    symbols[one], symbols[other] = symbols[other], symbols[one]
    wrong = "".join(symbols)
    assert (codes.parse(wrong) is None) == (wrong != codes.symbols_of(code))


@given(made, st.data())
def test_case_spaces_dashes_and_width_do_not_matter(code: str, data: st.DataObject):
    typed = ""
    for symbol in codes.symbols_of(code):
        form = data.draw(st.sampled_from(["plain", "lower", "wide"]))
        typed += {
            "plain": symbol,
            "lower": symbol.lower(),
            "wide": chr(ord(symbol) + 0xFEE0),
        }[form]
        typed += data.draw(st.sampled_from(["", " ", "-", "–", "　", "－", "\t"]))
    assert codes.parse(typed) == code


@given(made, st.integers(1, codes.LENGTH))
def test_missing_or_added_symbols_are_found(code: str, count: int):
    symbols = codes.symbols_of(code)
    assert codes.parse(symbols[:-count]) is None
    assert codes.parse(symbols + symbols[:count]) is None


@given(st.text(max_size=40))
def test_anything_may_be_typed(typed: str):
    parsed = codes.parse(typed)
    assert parsed is None or parsed == codes.grouped(codes.symbols_of(typed))


def test_symbols_that_are_in_no_code_are_typing_errors():
    code = codes.generate()
    for alien in "01IO!é中":
        assert unicodedata.normalize("NFKC", alien).upper() not in codes.ALPHABET
        assert codes.parse(alien + code[1:]) is None
