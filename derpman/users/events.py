"""What happens to accounts."""

from dataclasses import dataclass

from derpman.kit.outbox import Event


@dataclass(frozen=True)
class VerificationAsked(Event):
    """Somebody wants the mail for a registration; None when there is none for his address.

    The event is the same either way, and what depends on whether the address has an account is
    done by its handler: a visitor can learn nothing from an answer or its timing.
    """

    name = "users.verification_asked"
    registration_id: int | None
