"""JSON of rentals."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from derpman.acl.schemas import VersionPart
from derpman.containers.schemas import RestraintOut, SlotOut
from derpman.finance.models import OverQuota
from derpman.kit.types import Body, IdValue, Line, Out, Part
from derpman.rentals.states import RentalStatus

Why = Annotated[Line, Field(max_length=64)]
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


class ChangePart(Part):
    """What will hold when what was bought earlier is over, of what is bought now."""

    at: datetime
    plan_id: int
    plan: str
    traffic_bytes: int
    rate_bytes_per_second: int
    device_limit: int
    over_quota: OverQuota
    throttle_bytes_per_second: int


class LifePart(Part):
    """What may become of the account."""

    is_renewable: bool
    no_renewal_reason: str | None
    deregister_at: datetime | None
    """When it is deregistered by itself unless it is renewed."""
    same_relays_until: datetime | None
    """Renewed before this, the last rental's relays and ACL come back."""


class RentalPart(Part):
    id: int
    user_id: int
    plan_id: int
    plan: str
    serial_id: int | None
    status: RentalStatus
    started_at: datetime
    expires_at: datetime
    days: int
    """From its beginning to its end, rounded up."""
    ended_at: datetime | None
    end_reason: str | None
    traffic_bytes: int
    rate_bytes_per_second: int
    device_limit: int
    over_quota: OverQuota
    throttle_bytes_per_second: int
    change: ChangePart | None
    restraints: list[RestraintOut]
    is_ready: bool
    """Whether all three relays run and the ACL is there."""
    slots: list[SlotOut]
    acl: AclOut | None


class RentalOut(Out):
    rental: RentalPart | None
    life: LifePart | None = None
    """Of the customer who asks, or is asked about."""


class DoneOut(Out):
    pass


class Generate(Body):
    user_id: IdValue
    server_ids: Annotated[list[IdValue], Field(max_length=3)] = []
    """These servers first; the system fills up to three."""
    reason: Why = "generated"


class GenerateForServer(Body):
    server_id: IdValue
    reason: Why = "generated"
    new_ports: bool = False


class Rotate(Body):
    user_id: IdValue
    reason: Why = "generated"
    new_ports: bool = True


class Regions(Body):
    region_base: int
    """The first of three region ids that follow each other."""


class GeneratedOut(Out):
    acl: dict[str, Any]
    """The derpMap, as Tailscale's policy has it."""
    version: VersionPart
