"""Selects of high availability: relays to probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from derpman.containers.models import Placement
from derpman.containers.states import Observed, Wanted
from derpman.kit.work import UnitOfWork

SAMPLE = 3


@dataclass(frozen=True)
class Relay:
    """A relay that should answer anybody: what is seen of it says how its server is."""

    server_id: int
    address: str
    port: int
    pin: str


def sample_relays(work: UnitOfWork, server_ids: Sequence[int]) -> dict[int, list[Relay]]:
    """Return up to three relays of each server that run, as far as was heard of them."""
    place = func.row_number().over(partition_by=Placement.server_id, order_by=Placement.id.desc())
    ready = (
        select(
            Placement.server_id, Placement.address, Placement.port, Placement.pin, place.label("n")
        )
        .where(
            Placement.server_id.in_(server_ids),
            Placement.gone_at.is_(None),
            Placement.wanted == Wanted.RUNNING,
            Placement.observed == Observed.READY,
            Placement.expires_at > work.now,
        )
        .subquery()
    )
    rows = work.session.execute(
        select(ready.c.server_id, ready.c.address, ready.c.port, ready.c.pin).where(
            ready.c.n <= SAMPLE
        )
    )
    found: dict[int, list[Relay]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(Relay(*row))
    return found
