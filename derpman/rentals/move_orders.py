"""What is asked of moves, and which of them are due; `moves` takes them on step by step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, insert, select, update

from derpman.containers import successors
from derpman.containers.models import Placement
from derpman.containers.states import Wanted
from derpman.kit.db import changed
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.rentals.errors import AlreadyThere, MoveNotFound, SlotEmpty
from derpman.rentals.models import Rental, SlotMove
from derpman.rentals.states import MOVE_TRANSITIONS, MoveStatus
from derpman.servers import service as servers
from derpman.servers.models import Server
from derpman.servers.states import ServerStatus
from derpman.users import service as users


class Cause(StrEnum):
    """Why a relay moves; also the reason of the ACL version that follows."""

    FAILOVER = "failover"
    ASKED = "moved"
    DRAINED = "server_drained"
    REMOVED = "server_removed"
    MARGIN = "server_margin"
    GIVEN_UP = "server_given_up"
    MENDED = "relays_spread"


AUTOMATIC = (Cause.FAILOVER, Cause.MENDED)
"""Moves that a fault of ours could begin in masses: they have a limit by share besides."""
UNFIT = (ServerStatus.DEAD, ServerStatus.GIVEN_UP, ServerStatus.REMOVED)


def ask(
    work: UnitOfWork, *, rental_id: int, slot: int, server_id: int | None = None, cause: Cause
) -> SlotMove:
    """Ask for one slot's relay to move, to that server when one is given."""
    rental = work.session.get_one(Rental, rental_id)
    users.lock(work, rental.user_id)
    generations = successors.live(work, rental_id).get(slot)
    if not generations:
        raise SlotEmpty(slot=slot)
    newest = generations[-1]
    if server_id is not None:
        servers.get(work, server_id)
        if newest.server_id == server_id:
            raise AlreadyThere(slot=slot, server_id=server_id)
    known = work.session.scalar(select(SlotMove).where(SlotMove.open_key == _key(newest)))
    if known is not None:
        if server_id is not None and known.status is MoveStatus.WAITING:
            known.wished_server_id = server_id
        return known
    move = SlotMove(**_row(work, newest, cause, priority=50), wished_server_id=server_id)
    work.session.add(move)
    work.session.flush()
    return move


def ask_off(work: UnitOfWork, *, server_id: int, cause: Cause, homes: Iterable[int] = ()) -> int:
    """Ask for every relay to move that a server carries as the newest of its slot.

    `homes` are relays that devices used: their customers come first, then those with the fewest
    relays alive. Relays that move already are left alone. Returns how many were asked for.
    """
    found = newest_on(work, server_id)
    open_keys = _open_keys(work, found)
    found = [one for one in found if _key(one) not in open_keys]
    if not found:
        return 0
    alive = _alive_slots(work, found)
    used = set(homes)
    rows = [
        _row(
            work,
            one,
            cause,
            priority=(0 if one.id in used else 10) + alive.get(one.rental_id, 0),
        )
        for one in found
    ]
    work.session.execute(insert(SlotMove), rows)
    logs.record_server(
        work,
        server_id=server_id,
        action="move_off",
        result="asked",
        detail={"cause": cause, "relays": len(rows), "asked_by": work.actor.name},
    )
    return len(rows)


def newest_on(work: UnitOfWork, server_id: int) -> Sequence[Placement]:
    last = (
        select(
            Placement.rental_id, Placement.slot, func.max(Placement.generation).label("generation")
        )
        .where(Placement.wanted != Wanted.RELEASED)
        .where(
            Placement.rental_id.in_(
                select(Placement.rental_id).where(
                    Placement.server_id == server_id,
                    Placement.gone_at.is_(None),
                    Placement.wanted != Wanted.RELEASED,
                )
            )
        )
        .group_by(Placement.rental_id, Placement.slot)
        .subquery()
    )
    return work.session.scalars(
        select(Placement)
        .join(
            last,
            (last.c.rental_id == Placement.rental_id)
            & (last.c.slot == Placement.slot)
            & (last.c.generation == Placement.generation),
        )
        .where(Placement.server_id == server_id, Placement.gone_at.is_(None))
        .order_by(Placement.id)
    ).all()


def _open_keys(work: UnitOfWork, placements: Sequence[Placement]) -> set[str]:
    keys = [_key(one) for one in placements]
    found = select(SlotMove.open_key).where(SlotMove.open_key.in_(keys))
    return {str(key) for key in work.session.scalars(found)}


def _alive_slots(work: UnitOfWork, placements: Sequence[Placement]) -> dict[int, int]:
    """Return how many slots of each rental have a relay on a server that is not dead."""
    rows = work.session.execute(
        select(Placement.rental_id, func.count(Placement.slot.distinct()))
        .join(Server, Server.id == Placement.server_id)
        .where(
            Placement.rental_id.in_({one.rental_id for one in placements}),
            Placement.wanted != Wanted.RELEASED,
            Server.status.not_in(UNFIT),
        )
        .group_by(Placement.rental_id)
    )
    return {rental_id: count for rental_id, count in rows}  # noqa: C416 # rows are no pairs to dict


def _key(placement: Placement) -> str:
    return f"{placement.rental_id}:{placement.slot}"


def _row(
    work: UnitOfWork, placement: Placement, cause: Cause, *, priority: int
) -> dict[str, object]:
    return {
        "user_id": placement.user_id,
        "rental_id": placement.rental_id,
        "slot": placement.slot,
        "open_key": _key(placement),
        "cause": cause,
        "status": MoveStatus.WAITING,
        "priority": priority,
        "from_placement_id": placement.id,
        "from_server_id": placement.server_id,
        "is_shared": False,
        "tries": 0,
        "actor_name": work.actor.name,
        "due_at": work.now,
        "asked_at": work.now,
    }


def get(work: UnitOfWork, move_id: int) -> SlotMove:
    """Return a move; MoveNotFound when there is none."""
    move = work.session.get(SlotMove, move_id)
    if move is None:
        raise MoveNotFound
    return move


def cancel_of_server(work: UnitOfWork, *, server_id: int, causes: Sequence[Cause]) -> int:
    """Take back what was asked for a server and has not begun; return how many."""
    return changed(
        work.session,
        update(SlotMove)
        .where(
            SlotMove.from_server_id == server_id,
            SlotMove.status == MoveStatus.WAITING,
            SlotMove.cause.in_(causes),
        )
        .values(
            status=next_state(MOVE_TRANSITIONS, MoveStatus.WAITING, "cancel"),
            open_key=None,
            ended_at=work.now,
        )
        .execution_options(synchronize_session=False),
    )


def due(work: UnitOfWork, *, limit: int, causes: Sequence[Cause] = tuple(Cause)) -> Sequence[int]:
    """Return moves that wait and may begin now, the most urgent first."""
    return work.session.scalars(
        select(SlotMove.id)
        .where(
            SlotMove.status == MoveStatus.WAITING,
            SlotMove.due_at <= work.now,
            SlotMove.cause.in_(causes),
        )
        .order_by(SlotMove.priority, SlotMove.id)
        .limit(limit)
    ).all()


def ripe(work: UnitOfWork, *, limit: int) -> Sequence[int]:
    """Return moves to be taken on: the next relay is ready, or took too long, or something died."""
    rows = work.session.execute(
        select(SlotMove.id, SlotMove.due_at, Placement, Server.status)
        .join(Placement, Placement.id == SlotMove.to_placement_id)
        .join(Server, Server.id == SlotMove.from_server_id)
        .where(SlotMove.status == MoveStatus.PREPARING)
        .order_by(SlotMove.priority, SlotMove.id)
        .limit(limit)
    )
    return [
        move_id
        for move_id, due_at, made, status in rows
        if made.wanted is Wanted.RELEASED
        or successors.are_ready([made])
        or due_at <= work.now
        or status in UNFIT
    ]


def begun_since(work: UnitOfWork, since: datetime, causes: Sequence[Cause] = tuple(Cause)) -> int:
    """Return how many moves began since an instant."""
    return (
        work.session.scalar(
            select(func.count(SlotMove.id)).where(
                SlotMove.begun_at > since, SlotMove.cause.in_(causes)
            )
        )
        or 0
    )
