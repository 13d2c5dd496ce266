"""Moving a slot's relay to another server, always by redefining the slot's region.

Where the old server lives, the next relay is started first, and the map follows when its node says
that it is ready; the old relay goes on until the new map is in use (`acl.overlap`). Where it is
dead, next relay and map come at once; the old relay stays wanted, so that a server that returns
serves those again who have not taken the new map.

A move is a row from the moment it is asked for. Each verb takes it one step, in a transaction of
its own, and does nothing when the step was done: whoever is killed, another goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select, update

from derpman.acl import cutoff, overlap
from derpman.acl import service as acl
from derpman.alerts import service as alerts
from derpman.alerts.models import Severity
from derpman.containers import reconcile, successors
from derpman.containers import service as containers
from derpman.containers.choice import choose
from derpman.containers.errors import NoPortLeft, ServerNotFit, TwoGenerations
from derpman.containers.models import Placement
from derpman.containers.states import Wanted
from derpman.kit.db import changed
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.rentals.models import Rental, SlotMove
from derpman.rentals.move_orders import UNFIT, Cause, get, newest_on
from derpman.rentals.states import MOVE_TRANSITIONS, MoveStatus, RentalStatus
from derpman.servers import service as servers
from derpman.servers.models import Server
from derpman.servers.states import ServerStatus
from derpman.users import service as users

START_WITHIN = timedelta(seconds=60)
"""A next relay that is not ready then is given up, and another server tried."""
TRY_AGAIN = timedelta(seconds=15)
MOST_TRIES = 3
PATIENCE = timedelta(hours=72)
"""So long the old relay on a server that is to leave waits for the new map to be taken."""
NO_SERVER = "containers.not_enough_servers"


def begin(work: UnitOfWork, *, move_id: int, at_once: bool = False) -> MoveStatus:
    """Begin a move that waits; return what it is then, also when nothing could be done.

    `at_once`: the caller makes the map himself and does not wait for the next relay.
    """
    move = _lock(work, move_id)
    if move.status is not MoveStatus.WAITING:
        return move.status
    rental = work.session.get_one(Rental, move.rental_id, populate_existing=True)
    old = work.session.get_one(Placement, move.from_placement_id, populate_existing=True)
    generations = successors.live(work, rental.id).get(move.slot, [old])
    newest = generations[-1]
    is_over = rental.status is RentalStatus.ENDED or rental.expires_at <= work.now
    if is_over or old.wanted is Wanted.RELEASED:
        return _close(work, move, "cancel")
    if newest.server_id != move.from_server_id:
        return _close(work, move, "cancel")  # it has moved meanwhile
    old = newest  # rotation may have followed it on the same server
    move.from_placement_id = old.id
    status = servers.get(work, old.server_id).status
    made = _place(work, rental, move, generations)
    if made is None:
        move.due_at = work.now + TRY_AGAIN
        _report_stuck(work, move)
        return move.status
    move.to_placement_id, move.to_server_id = made.id, made.server_id
    move.begun_at, move.error = work.now, None
    alerts.resolve_alert(work, alert_type="moves_stuck")
    if at_once:
        move.status = next_state(MOVE_TRANSITIONS, move.status, "replace")
        move.switched_at, move.open_key = work.now, None
    elif _is_lost(status, move):
        move.status = next_state(MOVE_TRANSITIONS, move.status, "replace")
        _switch(work, rental, move, old, is_dead=True)
    else:
        move.status = next_state(MOVE_TRANSITIONS, move.status, "prepare")
        move.due_at = work.now + START_WITHIN
    work.session.flush()
    return move.status


def _is_lost(status: ServerStatus, move: SlotMove) -> bool:
    """Tell whether nobody is served by the old relay, so that there is nothing to wait for."""
    by_hand = move.cause == Cause.FAILOVER and status is ServerStatus.UNHEALTHY
    return status in UNFIT or by_hand


def _place(
    work: UnitOfWork, rental: Rental, move: SlotMove, generations: Sequence[Placement]
) -> Placement | None:
    """Want the slot's next relay on the best server there is; None when there is none."""
    others = [
        one for one in containers.placements_of(work, rental_id=rental.id) if one.slot != move.slot
    ]
    beside = {one.server_id for one in others}
    regions = servers.regions_of(work, server_ids=beside).values()
    unused = overlap.unused(work, user_id=rental.user_id)
    # Of two generations the newer may be named by no map in use, and then makes room.
    stays = generations[0 if generations[-1].id in unused else -1]
    fit = [one for one in servers.candidates(work) if one.id != move.from_server_id]
    if move.wished_server_id is not None:
        ranked = [one for one in fit if one.id == move.wished_server_id]
    else:
        free = [one for one in fit if one.id not in beside]
        ranked = choose(free, len(free), regions=regions)
        if move.cause != Cause.MENDED:  # two slots on one server are better than one on none
            ranked += choose([one for one in fit if one.id in beside], len(fit))
    for server in ranked:
        try:
            with work.session.begin_nested():
                made = successors.prepare(
                    work,
                    _terms(rental),
                    placement=stays,
                    server_id=server.id,
                    unused=unused,
                )
        except (ServerNotFit, NoPortLeft) as error:
            move.error = error.code
            continue
        except TwoGenerations as error:
            move.error = error.code
            return None
        move.is_shared = server.id in beside
        return made
    move.error = move.error or NO_SERVER
    return None


def _terms(rental: Rental) -> containers.Terms:
    return containers.Terms(
        user_id=rental.user_id,
        rental_id=rental.id,
        region_base=rental.region_base,
        expires_at=rental.expires_at,
        rate_bytes_per_second=rental.rate_bytes_per_second,
    )


def go_on(work: UnitOfWork, *, move_id: int) -> MoveStatus:
    """Take a move on whose next relay was being started: switch when it is ready, or give it up."""
    move = _lock(work, move_id)
    if move.status is not MoveStatus.PREPARING or move.to_placement_id is None:
        return move.status
    rental = work.session.get_one(Rental, move.rental_id, populate_existing=True)
    old = work.session.get_one(Placement, move.from_placement_id, populate_existing=True)
    made = work.session.get_one(Placement, move.to_placement_id, populate_existing=True)
    if rental.status is RentalStatus.ENDED or made.wanted is Wanted.RELEASED:
        return _close(work, move, "cancel")
    is_lost = _is_lost(servers.get(work, old.server_id).status, move)
    target = servers.get(work, made.server_id).status
    if target not in UNFIT and (is_lost or successors.are_ready([made])):
        move.status = next_state(MOVE_TRANSITIONS, move.status, "switch")
        _switch(work, rental, move, old, is_dead=is_lost)
    elif move.due_at <= work.now or target in UNFIT:
        successors.retire(work, placement_ids=[made.id])
        move.status = next_state(MOVE_TRANSITIONS, move.status, "abandon")
        move.tries += 1
        move.due_at, move.to_placement_id, move.to_server_id = work.now + TRY_AGAIN, None, None
        move.error = "moves.not_ready"
        if move.tries >= MOST_TRIES:
            alerts.raise_alert(
                work,
                alert_type="move_failed",
                severity=Severity.CRITICAL,
                object_key=f"{move.rental_id}:{move.slot}",
                params={"user_id": move.user_id, "slot": move.slot, "tries": move.tries},
            )
            return _close(work, move, "fail")
    work.session.flush()
    return move.status


def _switch(
    work: UnitOfWork, rental: Rental, move: SlotMove, old: Placement, *, is_dead: bool
) -> None:
    """Make the version that names the next relay, and say how long the old one may stay."""
    version = acl.issue(
        work,
        user_id=rental.user_id,
        rental_id=rental.id,
        placements=containers.placements_of(work, rental_id=rental.id),
        reason=move.cause,
    )
    move.version_id, move.switched_at, move.open_key = version.id, work.now, None
    server = servers.get(work, old.server_id)
    if server.leaving_at is not None and not is_dead:
        until = work.now if server.leaves_at_once else work.now + PATIENCE
        cutoff.shorten(work, user_id=rental.user_id, pin=old.pin, until=until)
    elif server.leaving_at is not None or server.status is ServerStatus.GIVEN_UP:
        _drop(work, server, old)
    key = f"{move.rental_id}:{move.slot}"
    alerts.resolve_alert(work, alert_type="move_failed", object_key=key)
    facts = {
        "slot": move.slot,
        "cause": move.cause,
        "from_server": move.from_server_id,
        "to_server": move.to_server_id,
        "acl_version": version.number,
    }
    logs.record_history(
        work, user_id=rental.user_id, kind="relay.moved", rental_id=rental.id, detail=facts
    )
    for server_id in (move.from_server_id, move.to_server_id):
        if server_id is not None:
            logs.record_server(
                work, server_id=server_id, action="move_relay", result="ok", detail=facts
            )
    work.wake("live")


def leftovers(work: UnitOfWork, *, server_id: int) -> Sequence[int]:
    """Return the relays that a server still carries and that have been followed by others."""
    newest = {one.id for one in newest_on(work, server_id)}
    kept = work.session.scalars(
        select(Placement.id)
        .where(
            Placement.server_id == server_id,
            Placement.gone_at.is_(None),
            Placement.wanted != Wanted.RELEASED,
        )
        .order_by(Placement.id)
    )
    return [one for one in kept if one not in newest]


def clear(work: UnitOfWork, *, placement_id: int) -> None:
    """See to it that a relay which was followed by another does not stay on a leaving server.

    At once where it serves nobody or must serve nobody; else when its customer has taken the new
    map, or PATIENCE is over, of which he is told.
    """
    old = work.session.get_one(Placement, placement_id)
    users.lock(work, old.user_id)
    work.session.refresh(old)
    server = servers.get(work, old.server_id)
    generations = successors.live(work, old.rental_id).get(old.slot, [])
    if old not in generations or old is generations[-1]:
        return
    if server.status in UNFIT or server.leaves_at_once:
        _drop(work, server, old)
    elif server.leaving_at is not None:
        until = work.now + PATIENCE
        cutoff.shorten(work, user_id=old.user_id, pin=old.pin, until=until)


def _drop(work: UnitOfWork, server: Server, old: Placement) -> None:
    """Give a relay up now; of a server that is never spoken to again nothing needs to be proved."""
    cutoff.shorten(work, user_id=old.user_id, pin=old.pin, until=work.now)
    successors.retire(work, placement_ids=[old.id])
    if server.status is ServerStatus.GIVEN_UP:
        reconcile.write_off(work, server_id=server.id)


def finish(work: UnitOfWork, *, limit: int) -> int:
    """End the moves whose old relay is given up; return how many."""
    ids = work.session.scalars(
        select(SlotMove.id)
        .join(Placement, Placement.id == SlotMove.from_placement_id)
        .where(SlotMove.status == MoveStatus.SWITCHED, Placement.wanted == Wanted.RELEASED)
        .limit(limit)
    ).all()
    if not ids:
        return 0
    return changed(
        work.session,
        update(SlotMove)
        .where(SlotMove.id.in_(ids), SlotMove.status == MoveStatus.SWITCHED)
        .values(
            status=next_state(MOVE_TRANSITIONS, MoveStatus.SWITCHED, "finish"),
            ended_at=work.now,
        )
        .execution_options(synchronize_session=False),
    )


def cancel(work: UnitOfWork, *, move_id: int) -> None:
    """Take a move back that has not switched."""
    _close(work, _lock(work, move_id), "cancel")


def _lock(work: UnitOfWork, move_id: int) -> SlotMove:
    """Lock the user first, as everybody does, then read the move as it is."""
    users.lock(work, get(work, move_id).user_id)
    return work.session.get_one(SlotMove, move_id, populate_existing=True)


def _close(work: UnitOfWork, move: SlotMove, action: str) -> MoveStatus:
    move.status = next_state(MOVE_TRANSITIONS, move.status, action)
    move.open_key, move.ended_at = None, work.now
    work.session.flush()
    return move.status


def _report_stuck(work: UnitOfWork, move: SlotMove) -> None:
    alerts.raise_alert(
        work,
        alert_type="moves_stuck",
        severity=Severity.CRITICAL,
        params={
            "user_id": move.user_id,
            "slot": move.slot,
            "server_id": move.from_server_id,
            "error": move.error,
        },
    )
