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
    """Seals what must be readable again. The first key seals, every key opens.

    With a key file each use looks whether the file has changed: keys are rotated under processes
    that run.
    """

    def __init__(self, keys: Sequence[str], *, file: Path | None = None) -> None:
        self._file = file
        self._stamp = None if file is None else _stamp(file)
        self._use(keys)

    def _use(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ValueError("a vault needs at least one key")
        self._first = Fernet(keys[0])
        self._all = MultiFernet([Fernet(key) for key in keys])
        self._signing = hashlib.sha256(b"derpman-sign\n" + keys[-1].encode()).digest()

    def _look(self) -> None:
        if self._file is None or (stamp := _stamp(self._file)) == self._stamp:
            return
        self._use(key_file(self._file))
        self._stamp = stamp

    def seal(self, plain: str) -> str:
        """Return the sealed form of a text."""
        self._look()
        return self._first.encrypt(plain.encode()).decode()

    def open(self, sealed: str) -> str:
        """Return the text again; ValueError when no key of this vault sealed it."""
        self._look()
        try:
            return self._all.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise ValueError("sealed with a key this vault does not have") from None

    def is_current(self, sealed: str) -> bool:
        """Tell whether the first key sealed it."""
        self._look()
        try:
            self._first.decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True

    def sign(self, message: str) -> str:
        """Return a short signature that only this installation can make.

        The oldest key signs, so that a new one voids no signature; dropping the oldest does.
        """
        self._look()
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


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def write_key_file(path: Path, keys: Sequence[str]) -> None:
    """Put other keys into a key file, newest first; it is there whole, the old or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    _write(draft, keys)
    draft.replace(path)


def new_key() -> str:
    """Return a key for a vault."""
    return Fernet.generate_key().decode()


def _write(path: Path, keys: Sequence[str]) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write("".join(f"{key}\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())


def key_file(path: Path) -> list[str]:
    """Return the keys in `path`, newest first; make the file with one key when it is not there.

    Several processes may start at once: the file appears whole or not at all, and only once.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        _write(draft, [new_key()])
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was first: its key is the one
        finally:
            draft.unlink()
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]
