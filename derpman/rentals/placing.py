"""What an admin wishes of one customer's relays: on that server, in an empty slot or by a move."""

from __future__ import annotations

from collections.abc import Sequence

from derpman.containers import service as containers
from derpman.containers import successors
from derpman.containers.errors import AlreadyOnServer, ServerNotFit
from derpman.containers.models import Placement
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.rentals import move_orders, moves, service
from derpman.rentals.errors import AlreadyThere, NoOpenRental, RentalSuspended
from derpman.rentals.models import Rental, SlotMove
from derpman.rentals.move_orders import Cause
from derpman.rentals.states import MoveStatus, RentalStatus
from derpman.servers import service as servers
from derpman.servers.states import ServerStatus
from derpman.users import service as users


def allocate(
    work: UnitOfWork, *, user_id: int, server_id: int, slot: int | None = None
) -> Placement:
    """Put a relay of an active rental on a server: into an empty slot, else by moving one there.

    The map follows when a relay that moved is ready; it is never a fourth. Without a slot the one
    that is off worst moves. Raises AlreadyOnServer, AlreadyThere, ServerNotFit and NoPortLeft.
    """
    users.refuse_suspended(users.lock(work, user_id))
    rental = service.open_rental(work, user_id)
    if rental is None:
        raise NoOpenRental
    if rental.status is not RentalStatus.ACTIVE:
        raise RentalSuspended
    newest = successors.newest(containers.placements_of(work, rental_id=rental.id))
    empty = sorted(set(containers.SLOTS) - {one.slot for one in newest})
    if slot in empty or (slot is None and empty):
        return service.fill_slot(work, user_id=user_id, server_id=server_id, slot=slot)
    here = [one for one in newest if one.server_id == server_id]
    if here:
        error = AlreadyThere if here[0].slot == slot else AlreadyOnServer
        raise error(slot=here[0].slot, server_id=server_id)
    chosen = slot or worst_first(work, newest)[0].slot
    made, _ = _move(work, rental, chosen, server_id, at_once=False)
    logs.record(
        work,
        action="container.allocate",
        object_type="container",
        object_id=made.id,
        after={"user_id": user_id, "server_id": server_id, "slot": chosen, "moved": True},
    )
    return made


def redirect(
    work: UnitOfWork, rental: Rental, *, server_ids: Sequence[int], keep: Sequence[int]
) -> list[SlotMove]:
    """Want the next relays of slots on these servers, for a map that is made right after.

    Slots on servers in `keep` stay. The moves have no version yet: the caller names it.
    """
    made: list[SlotMove] = []
    for server_id in server_ids:
        newest = successors.newest(containers.placements_of(work, rental_id=rental.id))
        kept = {*keep, *server_ids}
        free = [one for one in newest if one.server_id not in kept]
        chosen = worst_first(work, free)[0].slot
        made.append(_move(work, rental, chosen, server_id, at_once=True)[1])
    return made


def _move(
    work: UnitOfWork, rental: Rental, slot: int, server_id: int, *, at_once: bool
) -> tuple[Placement, SlotMove]:
    move = move_orders.ask(
        work, rental_id=rental.id, slot=slot, server_id=server_id, cause=Cause.ASKED
    )
    if move.status is MoveStatus.WAITING:
        moves.begin(work, move_id=move.id, at_once=at_once)
    if move.to_server_id != server_id or move.to_placement_id is None:
        raise ServerNotFit(server_id=server_id)
    return work.session.get_one(Placement, move.to_placement_id), move


def worst_first(work: UnitOfWork, placements: Sequence[Placement]) -> list[Placement]:
    """Return relays by how much they had better go: lost or draining servers', then full ones'."""
    by_id = {one.server_id: servers.get(work, one.server_id) for one in placements}

    def rank(one: Placement) -> tuple[int, float]:
        server = by_id[one.server_id]
        is_bad = server.status is not ServerStatus.HEALTHY or server.draining_at is not None
        return (0 if is_bad else 1, -server.relay_count / max(1, server.capacity))

    return sorted(placements, key=rank)
