"""What happens to alerts."""

from dataclasses import dataclass

from derpman.kit.outbox import Event


@dataclass(frozen=True)
class AlertRaised(Event):
    """Something new is wrong, or is worse than it was."""

    name = "alert.raised"
    alert_id: int


@dataclass(frozen=True)
class AlertOver(Event):
    """What an alert told of is over, or an admin closed it."""

    name = "alert.over"
    alert_id: int
