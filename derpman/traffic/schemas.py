"""JSON of traffic; all sizes are bytes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from derpman.finance.models import OverQuota
from derpman.kit.paging import PageQuery
from derpman.kit.types import Body, IdValue, Line, Out, Part
from derpman.traffic.queries import Step
from derpman.traffic.states import PeriodStatus, Verdict

MOST_BYTES = 1 << 50


class SeriesQuery(BaseModel):
    """`hour` reaches 62 days back, `day` and `month` three years."""

    model_config = ConfigDict(extra="forbid")
    step: Step = Step.HOUR
    span: Annotated[int, Field(ge=1, le=1100)] = 48
    """How many hours, days or months."""


class Grant(Body):
    user_id: IdValue
    bytes: Annotated[int, Field(ge=1, le=MOST_BYTES)]
    reason: Line


class Decide(Body):
    is_billed: bool


class QuarantineQuery(PageQuery):
    verdict: Verdict | None = None


class SentPart(Part):
    begins_at: datetime
    sent_bytes: int


class RelayPart(Part):
    container_id: int
    slot: int
    server_id: int
    region: str
    sent_bytes: int
    rate_bytes_per_second: int
    """As its node told last, at most some seconds ago; 0 when it is out of touch."""
    read_at: datetime | None


class GapPart(Part):
    """A relay was killed: what it sent between its last count and `ended_at` is not billed."""

    container_id: int
    started_at: datetime | None
    ended_at: datetime | None
    sent_bytes: int


class PeriodPart(Part):
    """An amount of traffic and when it may be used."""

    id: int
    number: int
    status: PeriodStatus
    starts_at: datetime
    ends_at: datetime
    limit_bytes: int
    granted_bytes: int
    """Of these so many were given on top by an admin."""
    used_bytes: int
    left_bytes: int
    level: int
    """The highest of 80, 95 and 100 percent that was passed."""
    at_quota: OverQuota
    throttle_bytes_per_second: int
    over_at: datetime | None


class TrafficPart(Part):
    """What a customer sent and may send."""

    user_id: int
    period: PeriodPart | None
    runs_out_at: datetime | None
    """When the period's traffic is used up at the pace of the last day; null when it lasts."""
    rate_bytes_per_second: int
    relays: list[RelayPart]
    series: list[SentPart]
    gaps: list[GapPart]
    history: list[PeriodPart]


class TrafficOut(Out):
    traffic: TrafficPart


class PeriodOut(Out):
    period: PeriodPart


class ServerSentPart(Part):
    begins_at: datetime
    nic_bytes: int
    relay_bytes: int


class TopUserPart(Part):
    user_id: int
    username: str
    sent_bytes: int


class ServerTrafficPart(Part):
    """What a server sent; the card's count is what providers bill."""

    server_id: int
    traffic_bytes: int
    month_traffic_bytes: int
    month_begins_at: datetime
    monthly_allowance_bytes: int | None
    month_remaining_bytes: int | None
    billing_day: int
    margin_percent: int | None
    at_margin: str
    is_halted: bool
    rate_bytes_per_second: int
    series: list[ServerSentPart]
    top_users: list[TopUserPart]
    """Of the last 24 hours."""


class ServerTrafficOut(Out):
    traffic: ServerTrafficPart


class OverviewPart(Part):
    servers: int
    traffic_bytes: int
    month_traffic_bytes: int
    rate_bytes_per_second: int
    customers_used_up: int
    servers_halted: int
    servers_near_allowance: int
    series: list[ServerSentPart]


class OverviewOut(Out):
    overview: OverviewPart


class QuarantinePart(Part):
    """A count that the server's line could not have carried in that time."""

    id: int
    placement_id: int
    server_id: int
    user_id: int
    sent_bytes: int
    seconds: float
    created_at: datetime
    verdict: Verdict
    decided_at: datetime | None
    decided_by: str | None


class QuarantinedOut(Out):
    quarantine: list[QuarantinePart]
    next_before: int | None


class QuarantineOut(Out):
    quarantine: QuarantinePart
