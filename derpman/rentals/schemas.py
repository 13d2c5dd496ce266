"""JSON of rentals."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import StringConstraints

from derpman.containers.schemas import SlotOut
from derpman.finance.models import OverQuota
from derpman.kit.types import Body, IdValue, Line, Out, Part
from derpman.rentals.states import RentalStatus

TypedCode = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Activate(Body):
    code: TypedCode


class Reason(Body):
    reason: Line


class AllocateBody(Body):
    user_id: IdValue
    server_id: IdValue
    slot: Literal[1, 2, 3] | None = None


class AllocatedOut(Out):
    container_id: int


class AclOut(Part):
    version: int
    created_at: datetime
    expires_at: datetime


class RentalPart(Part):
    id: int
    user_id: int
    plan_id: int
    plan: str
    serial_id: int | None
    status: RentalStatus
    started_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    traffic_bytes: int
    rate_bytes_per_second: int
    device_limit: int
    over_quota: OverQuota
    throttle_bytes_per_second: int
    is_ready: bool
    """Whether all three relays run and the ACL is there."""
    slots: list[SlotOut]
    acl: AclOut | None


class RentalOut(Out):
    rental: RentalPart | None


class DoneOut(Out):
    pass
