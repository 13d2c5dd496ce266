"""What stands before the doors on which anybody may knock: one set for each process."""

from __future__ import annotations

from dataclasses import dataclass

from derpman.kit.errors import TooMany
from derpman.kit.throttle import Limit, Throttle, network_of
from derpman.kit.work import Actor, Role

PUBLIC_FORMS = Limit("public-forms", 60, 60)
"""Forms of visitors that mail or check a code: per address of the network they come from."""


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

    def take(self, limit: Limit, key: str) -> None:
        """Count a try; TooManyTries when there were too many."""
        if wait := self.throttle.take(limit, key):
            raise TooManyTries(retry_after_seconds=wait)

    def check(self, limit: Limit, key: str) -> None:
        """Raise TooManyTries when there were too many, without counting one."""
        if wait := self.throttle.wait(limit, key):
            raise TooManyTries(retry_after_seconds=wait)

    def take_form(self, actor: Actor) -> None:
        """Count a form that a visitor sends."""
        self.take(PUBLIC_FORMS, network_of(actor.ip))
