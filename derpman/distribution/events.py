"""What happened to distributors' applications, purchases and commissions."""

from dataclasses import dataclass

from derpman.kit.outbox import Event


@dataclass(frozen=True)
class ApplicationDecided(Event):
    name = "application.decided"
    application_id: int


@dataclass(frozen=True)
class SerialsReady(Event):
    """What a distributor bought is there."""

    name = "serials.ready"
    order_id: int


@dataclass(frozen=True)
class StatementMade(Event):
    """A month of a distributor is settled."""

    name = "statement.made"
    statement_id: int
