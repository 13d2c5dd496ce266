"""Codes of authenticator apps, against the vectors of RFC 6238."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from derpman.kit import totp

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_vectors_of_the_rfc(seconds: int, code: str) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    assert totp.code_at(RFC_SECRET, totp.step_at(at)) == code


def test_a_clock_may_be_half_a_minute_wrong_and_no_code_counts_twice() -> None:
    secret = totp.new_secret()
    here = totp.step_at(NOON)
    for offset, fits in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        code = totp.code_at(secret, here + offset)
        found = totp.matching_step(secret, code, NOON, after=0)
        assert (found == here + offset) is fits
    code = totp.code_at(secret, here)
    assert totp.matching_step(secret, code, NOON, after=here) is None
    assert totp.matching_step(secret, code, NOON + timedelta(seconds=30), after=here) is None
    later = totp.code_at(secret, here + 1)
    assert totp.matching_step(secret, later, NOON, after=here) == here + 1


def test_the_address_is_one_that_apps_read() -> None:
    made = totp.address("ABC", issuer="DERP Management", account="carl@example.com")
    assert made == (
        "otpauth://totp/DERP%20Management%3Acarl%40example.com"
        "?secret=ABC&issuer=DERP+Management&digits=6&period=30"
    )
