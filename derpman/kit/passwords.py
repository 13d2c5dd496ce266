"""Password hashes: slow on purpose, so a few at a time, on threads of their own, or not at all."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import ParamSpec, TypeVar

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

from derpman.kit.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

AT_ONCE = 2
WAITING = 18
"""With `AT_ONCE` half of the threads that serve requests: the other half never waits for a hash."""

HASHER = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1),))
"""Argon2id with the parameters of OWASP's Password Storage Cheat Sheet: 19 MiB, t=2, p=1."""

NOBODYS = (
    "$argon2id$v=19$m=19456,t=2,p=1$osmORsI7GEyCfHSk4GJtkA"
    "$IBfjUQpnDzrx+11LVE/5QiTB0xxsvIlh1FkuEe7xSQg"
)
"""The hash of a random text that was thrown away: checking against it costs what any check does."""


class PasswordsBusy(Unavailable):
    """More people log in at once than the machine can serve."""

    code = "access.busy"
    text = "Too many people are logging in. Try again in a moment."


class Passwords:
    """Hashes and checks, `at_once` at a time; refuses when `waiting` more wait already."""

    def __init__(self, *, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="password")
        self._places = threading.BoundedSemaphore(at_once + waiting)

    def hash(self, password: str) -> str:
        """Return what is stored of a password."""
        return self._run(HASHER.hash, _normal(password))

    def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether the password fits; None, for nobody, takes as long and never fits."""
        return self.verify_and_update(password, stored)[0]

    def verify_and_update(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Tell whether it fits, and return a new hash when the stored one's parameters are old."""
        return self._run(_check, _normal(password), stored)

    def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if not self._places.acquire(blocking=False):
            raise PasswordsBusy
        try:
            return self._threads.submit(work, *args, **kwargs).result()
        finally:
            self._places.release()


def _normal(password: str) -> str:
    """Make one text of what different keyboards send for the same characters (NIST SP 800-63B)."""
    return unicodedata.normalize("NFKC", password)


def _check(password: str, stored: str | None) -> tuple[bool, str | None]:
    try:
        fits, renewed = HASHER.verify_and_update(password, NOBODYS if stored is None else stored)
    except UnknownHashError:  # an account that cannot log in; it takes as long as one that can
        HASHER.verify(password, NOBODYS)
        return False, None
    return (fits, renewed) if stored is not None else (False, None)


@lru_cache(maxsize=1)
def of_process() -> Passwords:
    """Return this process's one pool, made when it is first needed."""
    return Passwords()


@lru_cache(maxsize=1)
def of_the_known() -> Passwords:
    """Return the lane of browsers that have logged in before: a flood of others is not in it."""
    return Passwords(at_once=1, waiting=8)


def verify_known(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Do as `verify_and_update` does, in the lane of the known."""
    return of_the_known().verify_and_update(password, stored)


def hash(password: str) -> str:  # noqa: A001 # reads as passwords.hash
    """Return what is stored of a password; Unavailable when too many wait."""
    return of_process().hash(password)


def verify(password: str, stored: str | None) -> bool:
    """Tell whether the password fits; None, for nobody, takes as long and never fits."""
    return of_process().verify(password, stored)


def verify_and_update(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Tell whether it fits, and return a new hash when the stored one's parameters are old."""
    return of_process().verify_and_update(password, stored)
