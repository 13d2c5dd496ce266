"""What was seen of one server lately, and what follows from it for its state of health."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from derpman.servers.health import NO_CONTACT, RELAYS_UNREACHABLE
from derpman.servers.states import ServerStatus

DOUBT_MISSES = 2
"""So often in a row, and the other servers are asked."""
AGREE_MISSES = 2
"""So often in a row an observer must have missed it to say that it is gone."""
TRUST_SIGHTS = 2
RETURN_SIGHTS = 4
LOSE_SECONDS = 10.0
"""Missed for so long it is unhealthy, also when nobody agrees."""
OBSERVERS = 2
"""So many others must agree, or all there are when there are fewer; with none, nobody is dead."""


@dataclass
class Sight:
    """One server as its worker has seen it since it holds it."""

    number: int = 0
    newest: int = 0
    contact_misses: int = 0
    outside_misses: int = 0
    good: int = 0
    outside_good: int = 0
    missed_at: float | None = None
    """When the first of the present misses was, on the loop's clock."""
    error: str = field(default="")

    def note(self, number: int, now: float, *, contact: bool | None, outside: bool | None) -> None:
        """Take in one look, None being nothing learnt.

        Looks overlap: one that waits in vain ends after later ones that were answered at once,
        and then does not count.
        """
        if number < self.newest:
            return
        self.newest = number
        if contact is not None:
            self.contact_misses = 0 if contact else self.contact_misses + 1
        if outside is not None:
            self.outside_misses = 0 if outside else self.outside_misses + 1
            self.outside_good = self.outside_good + 1 if outside else 0
        if self.contact_misses or self.outside_misses:
            self.good = 0
            self.missed_at = now if self.missed_at is None else self.missed_at
        else:
            self.good += contact is True
            self.missed_at = None

    @property
    def cause(self) -> str:
        return NO_CONTACT if self.contact_misses else RELAYS_UNREACHABLE

    def verdict(
        self,
        status: ServerStatus,
        now: float,
        *,
        votes: Mapping[int, int],
        others: int,
        settles_at: datetime | None,
        today: datetime,
    ) -> str | None:
        """Return what is to happen to the server's state, a word of its table, or nothing.

        `votes` are fresh ones, observer to misses in a row; `others` is how many other servers
        are healthy and could vote.
        """
        is_missed = max(self.contact_misses, self.outside_misses) >= DOUBT_MISSES
        is_dead = self.outside_misses >= DOUBT_MISSES and is_agreed(votes, others)
        is_long = self.missed_at is not None and now - self.missed_at >= LOSE_SECONDS
        match status:
            case ServerStatus.HEALTHY if is_missed:
                return "doubt"
            case ServerStatus.SUSPECT:
                if self.good >= TRUST_SIGHTS:
                    return "trust"
                return "condemn" if is_dead else "lose" if is_long else None
            case ServerStatus.UNHEALTHY:
                if self.good >= RETURN_SIGHTS:
                    return "return"
                return "condemn" if is_dead else None
            case ServerStatus.DEAD:
                if self.good >= RETURN_SIGHTS:
                    return "return"
                return "reappear" if self.outside_good >= RETURN_SIGHTS and is_missed else None
            case ServerStatus.RECOVERING:
                if is_dead:
                    return "condemn"
                if is_missed:
                    return "lose"
                if self.good and (settles_at is None or settles_at <= today):
                    return "recover"
            case _:
                pass
        return None


def is_agreed(votes: Mapping[int, int], others: int) -> bool:
    """Tell whether the other servers say with one voice, and often enough, that it is gone."""
    needed = min(OBSERVERS, others)
    return (
        needed > 0
        and len(votes) >= needed
        and all(misses >= AGREE_MISSES for misses in votes.values())
    )
