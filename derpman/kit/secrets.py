"""Secrets at rest: encrypted with keys that can be rotated; tokens are kept as hashes only."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class Vault:
    """Seals what must be readable again. The first key seals, every key opens."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ValueError("a vault needs at least one key")
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self._signing = hashlib.sha256(b"derpman-sign\n" + keys[-1].encode()).digest()

    def seal(self, plain: str) -> str:
        """Return the sealed form of a text."""
        return self._fernet.encrypt(plain.encode()).decode()

    def open(self, sealed: str) -> str:
        """Return the text again; ValueError when no key of this vault sealed it."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise ValueError("sealed with a key this vault does not have") from None

    def sign(self, message: str) -> str:
        """Return a short signature that only this installation can make."""
        return hmac.new(self._signing, message.encode(), hashlib.sha256).hexdigest()[:32]

    def is_signed(self, message: str, signature: str) -> bool:
        """Tell whether `signature` is ours for `message`, in constant time."""
        return hmac.compare_digest(self.sign(message), signature)


def new_token() -> str:
    """Return 256 random bits for a URL or a header."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """Return what is stored of a token. Tokens are random, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def key_file(path: Path) -> list[str]:
    """Return the keys in `path`, newest first; make the file with one key when it is not there.

    Several processes may start at once: the file appears whole or not at all, and only once.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(Fernet.generate_key().decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was first: its key is the one
        finally:
            draft.unlink()
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]
