"""Mailed codes and the links that stand for them."""

from __future__ import annotations

import re

import pytest
from cryptography.fernet import Fernet

from derpman.kit import codes
from derpman.kit.secrets import Vault


@pytest.fixture
def vault() -> Vault:
    return Vault([Fernet.generate_key().decode()])


def test_codes_have_their_shape() -> None:
    assert all(re.fullmatch(r"[0-9]{6}", codes.new_digits()) for _ in range(100))
    letters = [codes.new_letters() for _ in range(100)]
    assert all(re.fullmatch(r"[A-HJ-NP-Z2-9]{4}-[A-HJ-NP-Z2-9]{4}", code) for code in letters)
    assert len(set(letters)) == 100


@pytest.mark.parametrize("typed", ["ABCD-EFG2", "abcdefg2", " abcd efg2 ", "ＡＢＣＤ－ＥＦＧ２"])
def test_a_code_fits_as_people_type_it(vault: Vault, typed: str) -> None:
    stored = codes.digest(vault, "reset", 7, "ABCD-EFG2")
    assert codes.fits(vault, "reset", 7, typed, stored)


def test_a_code_fits_its_own_row_and_purpose_only(vault: Vault) -> None:
    stored = codes.digest(vault, "reset", 7, "123456")
    assert not codes.fits(vault, "reset", 8, "123456", stored)
    assert not codes.fits(vault, "registration", 7, "123456", stored)
    assert not codes.fits(vault, "reset", 7, "123457", stored)
    assert not codes.fits(vault, "reset", 7, "123456", None)
    other = Vault([Fernet.generate_key().decode()])
    assert not codes.fits(other, "reset", 7, "123456", stored)


def test_a_link_is_void_when_the_code_changes(vault: Vault) -> None:
    stored = codes.digest(vault, "registration", 7, "123456")
    token = codes.link_token(vault, "registration", 7, stored)
    assert codes.row_of_link(token) == 7
    assert codes.is_link(vault, "registration", 7, stored, token)
    renewed = codes.digest(vault, "registration", 7, "654321")
    assert not codes.is_link(vault, "registration", 7, renewed, token)
    assert not codes.is_link(vault, "registration", 7, None, token)
    assert not codes.is_link(vault, "registration", 7, stored, token[:-1] + "é")


@pytest.mark.parametrize("token", ["", "-", "x-1", "-7-1", "٣-1", "9" * 19 + "-1", "7"])
def test_an_odd_token_speaks_of_no_row_or_is_not_ours(vault: Vault, token: str) -> None:
    row_id = codes.row_of_link(token)
    stored = codes.digest(vault, "registration", 7, "123456")
    assert row_id is None or not codes.is_link(vault, "registration", row_id, stored, token)
