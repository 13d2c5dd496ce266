"""JSON of serials."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, StringConstraints

from derpman.kit.paging import SortedQuery
from derpman.kit.states import allowed_actions
from derpman.kit.types import MAX_ID, Body, IdValue, Line, Out, Part
from derpman.serials.models import Serial
from derpman.serials.service import MAX_COUNT
from derpman.serials.states import TRANSITIONS, SerialStatus

Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Prefix = Annotated[str, StringConstraints(strip_whitespace=True, max_length=64)]


class Generate(Body):
    duration_days: Annotated[int | None, Field(ge=1, le=3660)] = None
    plan_id: IdValue | None = None
    count: Annotated[int, Field(ge=1, le=MAX_COUNT)] = 1
    note: Line | None = None


class Revoke(Body):
    reason: Line


class RevokeMany(Body):
    ids: Annotated[list[IdValue], Field(min_length=1, max_length=1000)]
    reason: Line


class RevokedOut(Out):
    revoked: list[int]
    left_out: list[int]


class GeneratedOut(Out):
    serial_numbers: list[str]


class SerialFilter(SortedQuery):
    code: Prefix | None = None
    status: SerialStatus | None = None
    plan_id: Id | None = None
    user_id: Id | None = None
    created_by: Id | None = None
    order_id: Id | None = None
    distributor_id: Id | None = None


class SerialOut(Part):
    id: int
    code: str
    duration_days: int
    plan_id: int
    status: SerialStatus
    note: str | None
    created_by: int | None
    order_id: int | None
    distributor_id: int | None
    distributor: str | None
    user_id: int | None
    username: str | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    allowed_actions: list[str]

    @classmethod
    def of(cls, serial: Serial, usernames: dict[int, str]) -> Self:
        return cls(
            id=serial.id,
            code=serial.code,
            duration_days=serial.duration_days,
            plan_id=serial.plan_id,
            status=serial.status,
            note=serial.note,
            created_by=serial.created_by,
            order_id=serial.order_id,
            distributor_id=serial.distributor_id,
            distributor=usernames.get(serial.distributor_id or 0),
            user_id=serial.user_id,
            username=usernames.get(serial.user_id or 0),
            created_at=serial.created_at,
            expires_at=serial.expires_at,
            used_at=serial.used_at,
            allowed_actions=[
                action
                for action in allowed_actions(TRANSITIONS, serial.status)
                if action in STAFF_ACTIONS
            ],
        )


STAFF_ACTIONS = frozenset({"revoke"})
"""What a button does; the rest of the table happens by itself or to the customer."""


class SerialsOut(Out):
    serials: list[SerialOut]
    next_before: int | None


class OneSerialOut(Out):
    serial: SerialOut
