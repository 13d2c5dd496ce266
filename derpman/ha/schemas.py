"""JSON of health, moves and load."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from derpman.kit.paging import PageQuery, TimedQuery
from derpman.kit.types import Body, IdValue, Line, Note, Out, Part
from derpman.monitoring.queries import Step
from derpman.rentals.states import MoveStatus
from derpman.servers.states import ServerStatus

MOST_HOURS = 24 * 400


class Failover(Body):
    server_id: IdValue | None = None
    """Empty: every server that is unhealthy or dead."""


class FailoverOut(Out):
    message: str
    server_ids: list[int]
    moves: int


class MovesQuery(TimedQuery):
    server_id: IdValue | None = None
    """The server that relays leave or go to."""
    user_id: IdValue | None = None
    status: MoveStatus | None = None


class MovePart(Part):
    id: int
    user_id: int
    rental_id: int
    slot: int
    cause: str
    status: MoveStatus
    from_server_id: int
    to_server_id: int | None
    is_shared: bool
    """It went to a server that carries another slot of the customer, and moves on when it can."""
    tries: int
    error: str | None
    actor_name: str
    asked_at: datetime
    begun_at: datetime | None
    switched_at: datetime | None
    """When the map named the new relay."""
    ended_at: datetime | None
    """When the old one was given up."""


class MovesOut(Out):
    moves: list[MovePart]
    next_before: int | None


class StateOut(Out):
    is_frozen: bool
    """The panel has lost most servers at once, and moves nothing by itself."""
    servers: int
    lost: int
    waiting: int
    preparing: int
    switched: int
    """Moved, the old relay kept until the new map is in use."""
    shared: int
    """Slots that share a server with another of their customer's for want of a better one."""
    may_begin_within_minute: int
    may_begin_within_hour: int
    """By themselves, of the share that may."""


class Drain(Body):
    move: bool = False
    """Move its relays to other servers too."""


class RemoveServer(Body):
    reason: Note | None = None
    move: bool = False
    """Move its relays first, and remove it when it is empty."""
    at_once: bool = False
    """Give the old relays up as soon as the new maps are made, whoever has not taken his."""


class RemovedOut(Out):
    job_id: int | None
    """The job that cleans up; none while relays are being moved."""
    moves: int


class GiveUp(Body):
    reason: Line


class MovedOut(Out):
    moves: int


class DoneOut(Out):
    pass


class HealthQuery(PageQuery):
    step: Step = Step.HOUR
    hours: Annotated[int, Field(ge=1, le=MOST_HOURS)] = 24
    """How far back trends reach."""


class ChangePart(Part):
    at: datetime
    before: ServerStatus
    after: ServerStatus
    cause: str | None
    evidence: dict[str, Any]


class PointPart(Part):
    at: datetime
    mean: float
    most: float
    samples: int


class TrendPart(Part):
    metric: str
    """`latency.panel.node|tcp|tls|stun`, `latency.server.<id>.tcp|stun`: milliseconds."""
    points: list[PointPart]


class HealthOut(Out):
    server_id: int
    status: ServerStatus
    since: datetime | None
    cause: str | None
    losses: int
    """Within an hour: after each it must stay twice as long before it counts as healthy."""
    settles_at: datetime | None
    observers: dict[int, int]
    """Servers that were asked lately: how often in a row each did not reach it."""
    draining_at: datetime | None
    drain_reason: str | None
    leaving_at: datetime | None
    relays_left: int
    changes: list[ChangePart]
    next_before: int | None
    trends: list[TrendPart]


class LoadPart(Part):
    """One server as it is loaded now."""

    server_id: int
    ip: str
    region: str
    status: ServerStatus
    users: int
    capacity: int
    used_percent: int
    relays_running: int
    load: float
    rate_bytes_per_second: int
    month_traffic_bytes: int
    month_remaining_bytes: int | None
    allowance_percent: int | None
    latency_ms: float | None
    growth_per_day: float
    """Users more a day, over the last week."""
    full_at: datetime | None
    """When every place is taken at this growth; null: not within a year."""
    allowance_ends_at: datetime | None
    """When the month's traffic is used up at this month's rate; null: not before it ends."""
    advice: str
    """What to do: a code."""
    advice_text: str
    advice_text_zh: str


class RegionLoadPart(Part):
    region: str
    servers: int
    healthy: int
    users: int
    capacity: int
    used_percent: int
    rate_bytes_per_second: int
    load: float
    growth_per_day: float
    full_at: datetime | None
    advice: str
    advice_text: str
    advice_text_zh: str


class LoadOut(Out):
    load_analysis: list[LoadPart]
    regions: list[RegionLoadPart]
