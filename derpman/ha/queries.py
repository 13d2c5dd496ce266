"""Selects of high availability: relays to probe, moves, states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select

from derpman.containers.models import Placement
from derpman.containers.states import Observed, Wanted
from derpman.kit.paging import page
from derpman.kit.work import UnitOfWork
from derpman.rentals.models import SlotMove
from derpman.rentals.states import MoveStatus
from derpman.servers.models import Server, ServerHealthChange
from derpman.servers.states import ServerStatus

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


def moves_list(
    work: UnitOfWork,
    *,
    server_id: int | None = None,
    user_id: int | None = None,
    status: MoveStatus | None = None,
    before: int | None,
    limit: int,
    sort: str | None = None,
) -> tuple[list[SlotMove], int | None]:
    """Return a page of moves, the newest first."""
    found = select(SlotMove)
    if server_id is not None:
        found = found.where(
            or_(SlotMove.from_server_id == server_id, SlotMove.to_server_id == server_id)
        )
    if user_id is not None:
        found = found.where(SlotMove.user_id == user_id)
    if status is not None:
        found = found.where(SlotMove.status == status)
    return page(work.session, found, SlotMove.id, before, limit, sort)


def counts(work: UnitOfWork) -> dict[MoveStatus, int]:
    """Return how many moves are under way, by state."""
    under_way = (MoveStatus.WAITING, MoveStatus.PREPARING, MoveStatus.SWITCHED)
    rows = work.session.execute(
        select(SlotMove.status, func.count(SlotMove.id))
        .where(SlotMove.status.in_(under_way))
        .group_by(SlotMove.status)
    )
    return {status: count for status, count in rows}  # noqa: C416 # rows are no pairs to `dict`


def shared(work: UnitOfWork) -> int:
    """Return how many slots share a server with another of their customer's, as moves left them."""
    return (
        work.session.scalar(
            select(func.count(SlotMove.id))
            .join(Placement, Placement.id == SlotMove.to_placement_id)
            .where(SlotMove.is_shared, Placement.wanted != Wanted.RELEASED)
        )
        or 0
    )


def changes(
    work: UnitOfWork, *, server_id: int, before: int | None, limit: int
) -> tuple[list[ServerHealthChange], int | None]:
    """Return a page of the history of a server's states, the newest first."""
    found = select(ServerHealthChange).where(ServerHealthChange.server_id == server_id)
    return page(work.session, found, ServerHealthChange.id, before, limit)


def running(work: UnitOfWork) -> dict[int, int]:
    """Return how many relays serve on each server, as their nodes say."""
    rows = work.session.execute(
        select(Placement.server_id, func.count(Placement.id))
        .where(
            Placement.gone_at.is_(None),
            Placement.wanted == Wanted.RUNNING,
            Placement.observed == Observed.READY,
        )
        .group_by(Placement.server_id)
    )
    return {server_id: count for server_id, count in rows}  # noqa: C416 # as above


@dataclass(frozen=True)
class Emptying:
    """How far a server is on its way to be empty."""

    relays: int
    waiting: int
    preparing: int
    switched: int
    is_done: bool
    """It carries nothing, and is removed when that was wished."""


def emptying(work: UnitOfWork, *, server_id: int) -> Emptying:
    """Return what a server still carries, and how far the moves from it are."""
    row = work.session.execute(
        select(Server.relay_count, Server.leaving_at, Server.status).where(Server.id == server_id)
    ).one()
    found = work.session.execute(
        select(SlotMove.status, func.count(SlotMove.id))
        .where(SlotMove.from_server_id == server_id)
        .group_by(SlotMove.status)
    )
    by_status = {status: count for status, count in found}  # noqa: C416 # as above
    is_removed = row.leaving_at is None or row.status is ServerStatus.REMOVED
    return Emptying(
        relays=row.relay_count,
        waiting=by_status.get(MoveStatus.WAITING, 0),
        preparing=by_status.get(MoveStatus.PREPARING, 0),
        switched=by_status.get(MoveStatus.SWITCHED, 0),
        is_done=row.relay_count == 0 and is_removed,
    )
