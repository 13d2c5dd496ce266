"""JSON of containers. Keys and certificates' private halves never appear."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from derpman.alerts.models import Reaction
from derpman.containers.models import Placement
from derpman.containers.states import REACHED, Observed, Wanted
from derpman.kit.paging import TimedQuery
from derpman.kit.types import MAX_ID, Out, Part

Id = Annotated[int, Field(ge=1, le=MAX_ID)]


class ContainerQuery(TimedQuery):
    user_id: Id | None = None
    server_id: Id | None = None
    wanted: Wanted | None = None
    observed: Observed | None = None
    is_differing: bool | None = None


class SlotOut(Part):
    """A relay as its customer sees it."""

    container_id: int
    slot: int
    region_id: int
    server_id: int
    region: str
    address: str
    port: int
    stun_port: int
    pin: str
    wanted: Wanted
    observed: Observed
    reason: str | None
    is_ready: bool
    ready_at: datetime | None
    generation: int
    """Counts the relays that this slot has had; while one follows another there are two."""
    ends_at: datetime | None
    """Of a relay that the next has followed: until when it runs at most."""
    latency_ms: float | None = None
    """From here to its server, as last measured; null when that was too long ago."""

    @classmethod
    def of(cls, placement: Placement, regions: dict[int, str]) -> SlotOut:
        return cls(
            container_id=placement.id,
            slot=placement.slot,
            region_id=placement.region_id,
            server_id=placement.server_id,
            region=regions.get(placement.server_id, ""),
            address=placement.address,
            port=placement.port,
            stun_port=placement.port,
            pin=placement.pin,
            wanted=placement.wanted,
            observed=placement.observed,
            reason=placement.reason,
            is_ready=placement.observed is Observed.READY,
            ready_at=placement.ready_at,
            generation=placement.generation,
            ends_at=placement.ends_at,
        )


class ContainerOut(SlotOut):
    """A relay as the operator sees it: what is wanted beside what its node reports."""

    user_id: int
    username: str
    rental_id: int
    is_as_wanted: bool
    restarts: int
    expires_at: datetime
    created_at: datetime
    released_at: datetime | None
    gone_at: datetime | None

    @classmethod
    def seen_by_staff(
        cls, placement: Placement, regions: dict[int, str], usernames: dict[int, str]
    ) -> ContainerOut:
        return cls(
            **SlotOut.of(placement, regions).model_dump(),
            user_id=placement.user_id,
            username=usernames.get(placement.user_id, ""),
            rental_id=placement.rental_id,
            is_as_wanted=REACHED[placement.wanted] is placement.observed,
            restarts=placement.restarts,
            expires_at=placement.expires_at,
            created_at=placement.created_at,
            released_at=placement.released_at,
            gone_at=placement.gone_at,
        )


class ContainersOut(Out):
    containers: list[ContainerOut]
    next_before: int | None


class MineOut(Out):
    containers: list[SlotOut]


class RestraintOut(Part):
    """Relays that are throttled or stopped because of an alert; closing it ends that."""

    alert_id: int
    user_id: int
    reaction: Reaction
    bytes_per_second: int
    since: datetime
    until: datetime


class RestraintsOut(Out):
    restraints: list[RestraintOut]
