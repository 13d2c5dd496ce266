"""What stands before the doors on which anybody may knock: one set for each process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from derpman.kit import puzzles
from derpman.kit.errors import Forbidden, TooMany
from derpman.kit.secrets import Vault
from derpman.kit.throttle import Limit, Throttle, network_of, wide_network_of
from derpman.kit.work import Actor, Role

PUBLIC_FORMS = Limit("public-forms", 60, 60)
"""Forms of visitors that mail or check a code: per address of the network they come from."""


FREE_MAILS = Limit("free-mails", 20, 600)
"""Forms that mail somebody, from one wide network, before each needs a proof of work."""
SOLVED = Limit("solved-puzzle", 1, puzzles.LIFE_SECONDS)


class WorkNeeded(Forbidden):
    """So many mails were asked for from this network that the next costs a proof of work."""

    code = "access.work_needed"
    text = (
        "Find a number that makes the SHA-256 of “{puzzle}:<number>” begin with {bits} zero bits, "
        "and send that text in the header X-Derpman-Work."
    )


class TooManyTries(TooMany):
    """Too much from one place, or for one account from one place."""

    code = "access.too_many_tries"
    text = "Too many tries. Come back in {retry_after_seconds} seconds."


@dataclass(frozen=True)
class Guards:
    """The limits, and what the doors need of the settings."""

    throttle: Throttle
    session_days: int
    support_contact: str
    is_https: bool
    second_factor_for: frozenset[Role] = frozenset()
    """Roles whose accounts must have a second factor."""
    proof_seconds: int = 900
    """How long it counts that somebody has shown that it is he."""
    vault: Vault | None = None
    """Signs the puzzles; without it none is asked for."""
    seconds: Callable[[], float] = time.time

    def take(self, limit: Limit, key: str) -> None:
        """Count a try; TooManyTries when there were too many."""
        if wait := self.throttle.take(limit, key):
            raise TooManyTries(retry_after_seconds=wait)

    def check(self, limit: Limit, key: str) -> None:
        """Raise TooManyTries when there were too many, without counting one."""
        if wait := self.throttle.wait(limit, key):
            raise TooManyTries(retry_after_seconds=wait)

    def take_mail_form(self, actor: Actor) -> None:
        """Count a form that mails somebody; above a rate of its network it needs a puzzle's answer.

        Nobody can shut others out of a network so: it costs them a second.
        """
        self.take_form(actor)
        network = wide_network_of(actor.ip)
        if self.throttle.take(FREE_MAILS, network) == 0 or self.vault is None:
            return
        now = int(self.seconds())
        solved = puzzles.solved(self.vault, network, actor.work, now=now)
        if solved is None or self.throttle.take(SOLVED, solved) != 0:
            puzzle = puzzles.new(self.vault, network, now=now)
            raise WorkNeeded(puzzle=puzzle, bits=puzzles.BITS)

    def take_form(self, actor: Actor) -> None:
        """Count a form that a visitor sends."""
        self.take(PUBLIC_FORMS, network_of(actor.ip))
