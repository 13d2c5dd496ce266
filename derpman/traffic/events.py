"""What happened to traffic."""

from dataclasses import dataclass

from derpman.kit.outbox import Event


@dataclass(frozen=True)
class QuotaPassed(Event):
    """A rental used 80, 95 or 100 percent of a period's traffic."""

    name = "traffic.quota_passed"
    period_id: int
    level: int


@dataclass(frozen=True)
class TrafficOpened(Event):
    """A rental that had used up its traffic may send again."""

    name = "traffic.opened"
    period_id: int


@dataclass(frozen=True)
class ServerAtMargin(Event):
    """A server came to the margin of its monthly allowance; `action` is `stop` or `move`."""

    name = "traffic.server_at_margin"
    server_id: int
    action: str


@dataclass(frozen=True)
class ServerStopped(Event):
    """A server's relays stand still because its allowance is used up: for one customer."""

    name = "traffic.server_stopped"
    server_id: int
    user_id: int
