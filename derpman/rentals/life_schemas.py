"""JSON of renewal, of the mark against it, and of the end of accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from derpman.finance.models import OverQuota
from derpman.kit.paging import PageQuery
from derpman.kit.types import Body, IdValue, Line, Out, Part
from derpman.logs.schemas import Instant
from derpman.rentals.schemas import RentalPart
from derpman.rentals.states import RentalStatus
from derpman.users.states import UserStatus


class RenewTo(Body):
    until: Instant
    reason: Line
    plan_id: IdValue | None = Field(None, description="The plan he has or had, when left out.")


class NoRenewal(Body):
    reason: Line
    at_once: bool = Field(description="End what runs now; otherwise it runs until it expires.")


class Deregister(Body):
    password: Annotated[str, Field(min_length=1, max_length=128)]
    give_up_rental: bool = Field(
        False, description="A rental that runs ends at once, and what is left of it is lost."
    )


class MatterPart(Part):
    code: str
    params: dict[str, Any]


class WaitingPart(Part):
    server_id: int
    region: str
    address: str
    released_at: datetime | None
    is_in_touch: bool


class DeregistrationOut(Out):
    status: UserStatus
    deregister_at: datetime | None
    """When the account is deregistered by itself unless it is renewed."""
    deregistered_at: datetime | None
    matters: list[MatterPart]
    """What its owner settles before he closes it."""
    waiting_for: list[WaitingPart]
    """Servers that have not yet proved the relay gone."""


class TermPart(Part):
    number: int
    plan_id: int
    serial_id: int | None
    order_id: int | None
    reason: str | None
    actor_name: str
    starts_at: datetime
    ends_at: datetime
    traffic_bytes: int
    rate_bytes_per_second: int
    device_limit: int
    over_quota: OverQuota
    throttle_bytes_per_second: int
    created_at: datetime


class PastRentalPart(Part):
    id: int
    user_id: int
    resumes_id: int | None
    status: RentalStatus
    started_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    terms: list[TermPart]


class RentalsQuery(PageQuery):
    pass


class RentalsOut(Out):
    rentals: list[PastRentalPart]
    next_before: int | None


class RenewedOut(Out):
    rental: RentalPart
