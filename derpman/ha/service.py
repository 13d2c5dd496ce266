"""Verbs of high availability: whose relays move off which server, when, and how many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select

from derpman.alerts import service as alerts
from derpman.alerts.models import Severity
from derpman.containers.models import Placement
from derpman.containers.states import Wanted
from derpman.devices.models import Presence
from derpman.ha.errors import MovesFrozen, NotUnhealthy
from derpman.kit.states import IllegalTransition
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.rentals import move_orders, moves
from derpman.rentals.models import SlotMove
from derpman.rentals.move_orders import AUTOMATIC, Cause
from derpman.rentals.states import MoveStatus
from derpman.servers import draining, health
from derpman.servers import service as servers
from derpman.servers.models import Server, ServerHealth
from derpman.servers.states import IN_TOUCH, ServerStatus
from derpman.traffic.models import ServerMeter

LOST = (ServerStatus.UNHEALTHY, ServerStatus.DEAD)
HOUR = timedelta(hours=1)
LEAST_BY_SHARE = 30
"""So many moves by themselves are no sign of a fault of ours, however small the installation is."""
STALE_PRESENCE = timedelta(minutes=1)
MENDED_AT_ONCE = 50


@dataclass(frozen=True)
class Limits:
    """How many moves may begin."""

    per_minute: int
    share_percent: int
    """Of all relays, that moves by themselves may reach within an hour."""


def fail_over(work: UnitOfWork, *, server_id: int) -> int:
    """Have the relays of a dead server replaced, unless moves are frozen; return how many.

    For whoever watches; an admin uses `fail_over_by_hand`.
    """
    server = servers.get(work, server_id)
    if server.status is not ServerStatus.DEAD or freeze(work):
        return 0
    return _replace(work, server_id)


def _replace(work: UnitOfWork, server_id: int) -> int:
    homes = work.session.scalars(
        select(Presence.placement_id).where(Presence.server_id == server_id).distinct()
    )
    return move_orders.ask_off(work, server_id=server_id, cause=Cause.FAILOVER, homes=homes.all())


def freeze(work: UnitOfWork) -> bool:
    """Tell whether moves by themselves are frozen, and see to the alert that says so."""
    reach = health.reach(work)
    if reach.is_cut_off:
        alerts.raise_alert(
            work,
            alert_type="moves_frozen",
            severity=Severity.CRITICAL,
            params={"lost": reach.lost, "servers": reach.servers},
        )
    else:
        alerts.resolve_alert(work, alert_type="moves_frozen")
    return reach.is_cut_off


@dataclass(frozen=True)
class FailedOver:
    """What an admin's wish led to."""

    server_ids: list[int]
    moves: int


def fail_over_by_hand(work: UnitOfWork, *, server_id: int | None = None) -> FailedOver:
    """Have the relays of a server that is lost replaced, or of all such servers.

    A named one is done also while moves are frozen. Raises NotUnhealthy, MovesFrozen.
    """
    if server_id is not None:
        if servers.get(work, server_id).status not in LOST:
            raise NotUnhealthy(server_id=server_id)
        chosen = [server_id]
    else:
        reach = health.reach(work)
        if reach.is_cut_off:
            raise MovesFrozen(lost=reach.lost, servers=reach.servers)
        chosen = list(
            work.session.scalars(
                select(Server.id).where(Server.status.in_(LOST)).order_by(Server.id)
            )
        )
    asked = sum(_replace(work, one) for one in chosen)
    logs.record(
        work,
        action="ha.failover",
        object_type="server",
        object_id=server_id,
        after={"servers": chosen, "moves": asked},
    )
    return FailedOver(chosen, asked)


def dead_since(work: UnitOfWork, *, before: datetime) -> Sequence[int]:
    """Return the servers that have been dead since before an instant and carry relays."""
    return work.session.scalars(
        select(Server.id)
        .join(ServerHealth, ServerHealth.server_id == Server.id)
        .where(
            Server.status == ServerStatus.DEAD,
            Server.relay_count > 0,
            ServerHealth.since <= before,
        )
        .order_by(Server.id)
    ).all()


def startable(work: UnitOfWork, *, limits: Limits, most: int) -> Sequence[int]:
    """Return the moves that may begin now, the most urgent first, within the fleet's limits."""
    waiting = move_orders.due(work, limit=most)
    if not waiting:
        return ()
    room = room_by_minute(work, limits)
    if room <= 0:
        return ()
    by_share = room_by_share(work, limits)
    if by_share <= 0:
        by_hand = [one for one in Cause if one not in AUTOMATIC]
        return move_orders.due(work, limit=min(most, room), causes=by_hand)
    return waiting[: min(room, by_share)]


def room_by_minute(work: UnitOfWork, limits: Limits) -> int:
    """Return how many more moves may begin within this minute."""
    return limits.per_minute - move_orders.begun_since(work, work.now - timedelta(minutes=1))


def room_by_share(work: UnitOfWork, limits: Limits) -> int:
    """Return how many more moves may begin by themselves within this hour."""
    relays = work.session.scalar(
        select(func.count(Placement.id)).where(
            Placement.wanted == Wanted.RUNNING, Placement.gone_at.is_(None)
        )
    )
    most = max(LEAST_BY_SHARE, (relays or 0) * limits.share_percent // 100)
    return most - move_orders.begun_since(work, work.now - HOUR, AUTOMATIC)


def watch(work: UnitOfWork, *, limits: Limits) -> None:
    """Keep alerts true and what time alone makes due: run by a sweep."""
    freeze(work)
    waiting = (
        select(func.count(SlotMove.id))
        .where(SlotMove.status == MoveStatus.WAITING)
        .scalar_subquery()
    )
    count = work.session.scalar(select(waiting)) or 0
    if count and room_by_share(work, limits) <= 0:
        alerts.raise_alert(
            work,
            alert_type="moves_limited",
            severity=Severity.CRITICAL,
            params={"waiting": count, "percent": limits.share_percent},
        )
    else:
        alerts.resolve_alert(work, alert_type="moves_limited")
    if not count:
        alerts.resolve_alert(work, alert_type="moves_stuck")
    _forget_presence(work)


def _forget_presence(work: UnitOfWork) -> None:
    """Nobody is connected to a server that has been dead for a minute."""
    dead = work.session.scalars(
        select(Server.id)
        .join(ServerHealth, ServerHealth.server_id == Server.id)
        .where(Server.status == ServerStatus.DEAD, ServerHealth.since <= work.now - STALE_PRESENCE)
    ).all()
    if dead:
        work.session.execute(delete(Presence).where(Presence.server_id.in_(dead)))


def mend(work: UnitOfWork) -> int:
    """Have slots that share a server for want of a better one moved apart; return how many.

    Only while there is a fit server that carries none of the customer's relays.
    """
    shared = work.session.scalars(
        select(SlotMove)
        .join(Placement, Placement.id == SlotMove.to_placement_id)
        .where(
            SlotMove.is_shared,
            SlotMove.status.in_((MoveStatus.SWITCHED, MoveStatus.DONE)),
            Placement.wanted == Wanted.RUNNING,
        )
        .order_by(SlotMove.id)
        .limit(MENDED_AT_ONCE)
    ).all()
    if not shared:
        return 0
    fit = {one.id for one in servers.candidates(work)}
    asked = 0
    for move in shared:
        used = set(
            work.session.scalars(
                select(Placement.server_id).where(
                    Placement.rental_id == move.rental_id, Placement.wanted != Wanted.RELEASED
                )
            )
        )
        is_alone = _is_alone(work, move)
        if is_alone:
            move.is_shared = False
        elif fit - used:
            move_orders.ask(work, rental_id=move.rental_id, slot=move.slot, cause=Cause.MENDED)
            move.is_shared = False  # the next move says it again when it must
            asked += 1
    work.session.flush()
    return asked


def _is_alone(work: UnitOfWork, move: SlotMove) -> bool:
    other = work.session.scalar(
        select(Placement.id)
        .where(
            Placement.rental_id == move.rental_id,
            Placement.slot != move.slot,
            Placement.server_id == move.to_server_id,
            Placement.wanted != Wanted.RELEASED,
        )
        .limit(1)
    )
    return other is None


def move_off(work: UnitOfWork, *, server_id: int) -> int:
    """Ask for the moves of a server that drains and is to become empty; return how many."""
    server = servers.get(work, server_id)
    if not server.is_moving_off:
        return 0
    return move_orders.ask_off(work, server_id=server_id, cause=_cause_of(server))


def _cause_of(server: Server) -> Cause:
    if server.status is ServerStatus.GIVEN_UP:
        return Cause.GIVEN_UP
    if server.leaving_at is not None:
        return Cause.REMOVED
    return Cause.MARGIN if server.drain_reason == draining.AT_MARGIN else Cause.DRAINED


def moving_off(work: UnitOfWork) -> Sequence[int]:
    """Return the servers whose relays are to move elsewhere."""
    return work.session.scalars(
        select(Server.id)
        .where(Server.is_moving_off, Server.relay_count > 0)
        .where(Server.status != ServerStatus.REMOVED)
        .order_by(Server.id)
    ).all()


def emptied(work: UnitOfWork) -> Sequence[int]:
    """Return the servers that are to be removed and carry nothing any more."""
    return work.session.scalars(
        select(Server.id)
        .where(
            Server.leaving_at.is_not(None),
            Server.relay_count == 0,
            Server.status != ServerStatus.REMOVED,
        )
        .order_by(Server.id)
    ).all()


def drain(work: UnitOfWork, *, server_id: int, is_moving_off: bool = False) -> int:
    """Place nothing new on a server, and if wanted move what it carries; return how many."""
    draining.drain(work, server_id=server_id, reason=draining.BY_HAND, is_moving_off=is_moving_off)
    return move_off(work, server_id=server_id)


def undrain(work: UnitOfWork, *, server_id: int) -> None:
    """Take a drain back, and the moves that have not begun."""
    draining.undrain(work, server_id=server_id)
    off = (Cause.DRAINED, Cause.REMOVED, Cause.MARGIN)
    move_orders.cancel_of_server(work, server_id=server_id, causes=off)


def leave(
    work: UnitOfWork, *, server_id: int, reason: str | None = None, at_once: bool = False
) -> int:
    """Have a server removed once its relays are elsewhere; return how many are to move.

    Whether it lives or not: a dead one's relays are replaced and given up. `at_once` gives up the
    relays of a living one too as soon as the customers' next maps are made.
    """
    draining.leave(work, server_id=server_id, reason=reason, at_once=at_once)
    return move_off(work, server_id=server_id)


def give_up(work: UnitOfWork, *, server_id: int, reason: str) -> int:
    """Never trust a server again: its relays get new keys and pins elsewhere at once.

    Its SSH key is void, its host key refused for ever; nothing is said to it any more. Returns how
    many relays move.
    """
    draining.give_up(work, server_id=server_id, reason=reason)
    move_orders.cancel_of_server(work, server_id=server_id, causes=tuple(Cause))
    return move_off(work, server_id=server_id)


def cancel_move(work: UnitOfWork, *, move_id: int) -> None:
    """Take a move back that has not begun; IllegalTransition when it has."""
    move = move_orders.get(work, move_id)
    if move.status is not MoveStatus.WAITING:
        raise IllegalTransition(state=move.status, action="cancel")
    moves.cancel(work, move_id=move_id)
    logs.record(
        work,
        action="ha.cancel_move",
        object_type="move",
        object_id=move_id,
        before={"user_id": move.user_id, "slot": move.slot, "cause": move.cause},
    )


def follow_margin(work: UnitOfWork, *, server_id: int, action: str) -> None:
    """Move the relays of a server at its margin, when that is what its operator chose."""
    if action == "move":
        draining.drain(work, server_id=server_id, reason=draining.AT_MARGIN, is_moving_off=True)
        move_off(work, server_id=server_id)


def end_margin_drains(work: UnitOfWork) -> int:
    """Let servers take relays again whose provider counts anew; return how many."""
    over = work.session.scalars(
        select(Server.id)
        .outerjoin(ServerMeter, ServerMeter.server_id == Server.id)
        .where(
            Server.drain_reason == draining.AT_MARGIN,
            Server.status.in_(IN_TOUCH),
            ServerMeter.warned_at.is_(None),
        )
        .order_by(Server.id)
    ).all()
    for server_id in over:
        undrain(work, server_id=server_id)
    return len(over)
