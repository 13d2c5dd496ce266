"""JSON of automatic renewal and of compensation."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from derpman.finance.order_schemas import RequestKey
from derpman.kit.types import Body, IdValue, Line, Out, Part


class AutoRenewalPart(Part):
    plan_id: int | None
    """None: the plan that the rental has."""
    created_at: datetime


class AutoRenewalOut(Out):
    auto_renewal: AutoRenewalPart | None
    """None: it is off."""


class SetAutoRenewal(Body):
    is_on: bool
    plan_id: IdValue | None = None


class Compensate(Body):
    """Money or days, for one user or for everybody with a relay on a server."""

    user_id: IdValue | None = None
    server_id: IdValue | None = None
    fen: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    days: Annotated[int | None, Field(ge=1, le=366)] = None
    reason: Line
    request_key: RequestKey

    @model_validator(mode="after")
    def _is_clear(self) -> Self:
        if (self.user_id is None) == (self.server_id is None):
            raise ValueError("name one user or one server")
        if (self.fen is None) == (self.days is None):
            raise ValueError("give money or days")
        return self


class CompensatedOut(Out):
    users: int
    """Who got it."""
    left_out: list[int]
    """User ids of those who have no rental that days could be added to."""
