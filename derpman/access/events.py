"""What happens to log-ins."""

from dataclasses import dataclass

from derpman.kit.outbox import Event


@dataclass(frozen=True)
class PasswordForgotten(Event):
    """Somebody asked for a reset; None when his address has no account: the event is the same."""

    name = "access.password_forgotten"
    user_id: int | None
