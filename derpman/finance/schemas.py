"""JSON of plans. Prices are yuan with two decimals, and fen beside them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import Field, computed_field

from derpman.finance.models import OverQuota
from derpman.kit.money import yuan
from derpman.kit.types import Body, Line, Out, Part

Bytes = Annotated[int, Field(ge=0, le=10**18)]
Fen = Annotated[int, Field(ge=0, le=10**11)]
Days = Annotated[int, Field(ge=1, le=3660)]
Devices = Annotated[int, Field(ge=1, le=1000)]
PlanName = Annotated[Line, Field(max_length=64)]


class PlanOut(Part):
    id: int
    name: str
    duration_days: int
    price_fen: int
    traffic_bytes: int
    rate_bytes_per_second: int
    device_limit: int
    over_quota: OverQuota
    throttle_bytes_per_second: int
    retired_at: datetime | None
    version: int

    @computed_field
    @property
    def price(self) -> Decimal:
        return yuan(self.price_fen)


class PlansOut(Out):
    plans: list[PlanOut]


class OnePlanOut(Out):
    plan: PlanOut


class AddPlan(Body):
    name: PlanName
    duration_days: Days
    price_fen: Fen
    traffic_bytes: Bytes
    rate_bytes_per_second: Bytes = 0
    device_limit: Devices
    over_quota: OverQuota = OverQuota.STOP
    throttle_bytes_per_second: Bytes = 0


class UpdatePlan(Body):
    version: Annotated[int, Field(ge=1)]
    name: PlanName | None = None
    duration_days: Days | None = None
    price_fen: Fen | None = None
    traffic_bytes: Bytes | None = None
    rate_bytes_per_second: Bytes | None = None
    device_limit: Devices | None = None
    over_quota: OverQuota | None = None
    throttle_bytes_per_second: Bytes | None = None
    is_retired: bool | None = None


class PriceOut(Part):
    price_fen: int
    actor_id: int | None
    created_at: datetime


class PricesOut(Out):
    prices: list[PriceOut]
