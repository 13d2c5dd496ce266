"""One-time codes of an authenticator app: RFC 6238 with SHA-1, six digits, 30 seconds."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import struct
from datetime import datetime
from urllib.parse import quote, urlencode

STEP_SECONDS = 30
DIGITS = 6
WINDOW = 1
"""Steps that a clock may be wrong, either way."""


def new_secret() -> str:
    """Return 160 random bits in base32, as apps take them."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def step_at(now: datetime) -> int:
    """Return the number of the 30 seconds that an instant lies in."""
    return int(now.timestamp()) // STEP_SECONDS


def code_at(secret: str, step: int) -> str:
    """Return the code of one step."""
    made = hmac.new(base64.b32decode(secret), struct.pack(">Q", step), hashlib.sha1).digest()
    start = made[-1] & 0x0F
    (number,) = struct.unpack(">I", made[start : start + 4])
    return f"{(number & 0x7FFFFFFF) % 10**DIGITS:0{DIGITS}d}"


def matching_step(secret: str, code: str, now: datetime, *, after: int) -> int | None:
    """Return the step whose code this is, or None; no step up to `after` counts again."""
    here = step_at(now)
    for step in range(max(here - WINDOW, after + 1), here + WINDOW + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()):
            return step
    return None


def address(secret: str, *, issuer: str, account: str) -> str:
    """Return the `otpauth:` address that a QR code shows to an app."""
    label = quote(f"{issuer}:{account}")
    asked = urlencode(
        {"secret": secret, "issuer": issuer, "digits": DIGITS, "period": STEP_SECONDS}
    )
    return f"otpauth://totp/{label}?{asked}"
