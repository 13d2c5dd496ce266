"""JSON of trends."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from derpman.kit.types import MAX_ID, Out, Part
from derpman.monitoring.queries import Step

MOST_HOURS = {Step.FIVE: 24 * 14, Step.HOUR: 24 * 62, Step.DAY: 24 * 400, Step.MONTH: 24 * 400}
"""How far back a trend of each step may reach."""
Metric = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.]{1,64}$")]


class TrendQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    server_id: Annotated[int | None, Field(ge=1, le=MAX_ID)] = None
    """None: of the system itself."""
    metric: Annotated[list[Metric], Field(min_length=1, max_length=12)]
    step: Step = Step.FIVE
    hours: Annotated[int, Field(ge=1, le=24 * 400)] = 24

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.hours > MOST_HOURS[self.step]:
            raise ValueError(f"by {self.step} a trend reaches back {MOST_HOURS[self.step]} hours")
        return self


class TrendPoint(Part):
    at: datetime
    samples: int
    mean: float
    most: float


class Trend(Part):
    metric: str
    points: list[TrendPoint]


class TrendsOut(Out):
    server_id: int | None
    step: Step
    trends: list[Trend]


class MetricPart(Part):
    name: str
    what: str
    """What its values are, in English."""


class MetricsOut(Out):
    of_servers: list[MetricPart]
    of_system: list[MetricPart]
