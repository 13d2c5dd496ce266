"""A proof of work: what costs a person's browser a second, and whoever floods us a machine.

A puzzle is signed and kept nowhere; its answer is a number that makes the digest of
`<puzzle>:<number>` begin with a count of zero bits. It counts once, for a few minutes, and for the
network it was given to.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from derpman.kit.secrets import Vault

BITS = 18
"""A quarter of a million digests on average: about a second in a browser."""
LIFE_SECONDS = 600
HEADER = "x-derpman-work"
ANSWER = re.compile(
    r"(?P<puzzle>(?P<until>\d{1,12})\.(?P<bits>\d{1,2})\.[\w-]{16}\.[0-9a-f]{32}):\d{1,20}"
)


def new(vault: Vault, network: str, *, now: int) -> str:
    """Return a puzzle for whoever comes from a network; `now` in seconds."""
    text = f"{now + LIFE_SECONDS}.{BITS}.{secrets.token_urlsafe(12)}"
    return f"{text}.{vault.sign(_bound(text, network))}"


def solved(vault: Vault, network: str, answer: str, *, now: int) -> str | None:
    """Return the puzzle that an answer solves, or None when it is not ours, not his or not right.

    Whoever calls this sees to it that no puzzle counts twice.
    """
    found = ANSWER.fullmatch(answer)
    if found is None:
        return None
    puzzle = found["puzzle"]
    text, _, signature = puzzle.rpartition(".")
    if not vault.is_signed(_bound(text, network), signature) or int(found["until"]) < now:
        return None
    return puzzle if zero_bits(answer) >= int(found["bits"]) else None


def zero_bits(answer: str) -> int:
    """Return how many zero bits the digest of an answer begins with."""
    return 256 - int.from_bytes(hashlib.sha256(answer.encode()).digest()).bit_length()


def _bound(text: str, network: str) -> str:
    return f"puzzle\n{network}\n{text}"
