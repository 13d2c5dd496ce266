"""Short codes that are mailed and typed in, and signed links that say the same without typing."""

from __future__ import annotations

import hmac
import secrets
import unicodedata

from derpman.kit.secrets import Vault

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # no 0 and O, no 1 and I
MAX_WRONG = 5


def new_digits() -> str:
    """Return six random digits: for what a few tries in half an hour may risk."""
    return f"{secrets.randbelow(10**6):06d}"


def new_letters() -> str:
    """Return eight random letters, 40 bits, as `ABCD-EFGH`: for what opens an account."""
    letters = "".join(secrets.choice(LETTERS) for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"


def digest(vault: Vault, purpose: str, row_id: int, code: str) -> str:
    """Return what is stored of a code. It is keyed: so few codes could be tried out offline."""
    return vault.sign(f"{purpose}\n{row_id}\n{_tidy(code)}")


def fits(vault: Vault, purpose: str, row_id: int, code: str, stored: str | None) -> bool:
    """Tell whether this is the code that was stored, in constant time."""
    return _is_same(digest(vault, purpose, row_id, code), stored or "")


def link_token(vault: Vault, purpose: str, row_id: int, stored: str) -> str:
    """Return the token of a link that stands for a stored code, and is void when that changes."""
    signature = vault.sign(f"{purpose} link\n{row_id}\n{stored}")
    return f"{row_id}-{signature}"


def row_of_link(token: str) -> int | None:
    """Return the row that a token speaks of, whether it is genuine or not."""
    row_id, _, _ = token.partition("-")
    return int(row_id) if row_id.isascii() and row_id.isdigit() and len(row_id) < 19 else None


def is_link(vault: Vault, purpose: str, row_id: int, stored: str | None, token: str) -> bool:
    """Tell whether the token is ours for this row, in constant time."""
    return stored is not None and _is_same(link_token(vault, purpose, row_id, stored), token)


def _is_same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())


def _tidy(code: str) -> str:
    """Return a code without what people and keyboards add: spaces, dashes, full-width forms."""
    plain = unicodedata.normalize("NFKC", code).upper()
    return "".join(char for char in plain if char.isalnum())
