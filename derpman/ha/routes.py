"""HTTP of high availability: failover, moves, a server's health, draining, removing, load."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from derpman.ha import load, queries, service
from derpman.ha.schemas import (
    ChangePart,
    DoneOut,
    Drain,
    Failover,
    FailoverOut,
    GiveUp,
    HealthOut,
    HealthQuery,
    LoadOut,
    MovedOut,
    MovePart,
    MovesOut,
    MovesQuery,
    PointPart,
    RemovedOut,
    RemoveServer,
    StateOut,
    TrendPart,
)
from derpman.ha.service import Limits
from derpman.kit.csvfile import CSV, listed
from derpman.kit.http import RunAdmin, RunAdminFresh
from derpman.kit.types import IdValue
from derpman.kit.work import UnitOfWork
from derpman.monitoring import queries as monitoring
from derpman.monitoring.queries import Point
from derpman.rentals.states import MoveStatus
from derpman.servers import health, upkeep
from derpman.servers import service as servers

router = APIRouter(prefix="/api/ha", tags=["ha"])
server_router = APIRouter(prefix="/api/server", tags=["server"])
monitoring_router = APIRouter(prefix="/api/monitoring", tags=["monitoring"])


@router.post("/failover")
def fail_over(run: RunAdmin, body: Failover | None = None) -> FailoverOut:
    """Replace the relays of a server that is unhealthy or dead, or of all such servers."""
    done = run(service.fail_over_by_hand, server_id=body.server_id if body else None)
    if not done.server_ids:
        message = "No server is unhealthy: there is nothing to move."
    else:
        named = ", ".join(map(str, done.server_ids))
        message = f"{done.moves} relays of servers {named} are being replaced."
    return FailoverOut(message=message, server_ids=done.server_ids, moves=done.moves)


@router.get("/moves", response_model=MovesOut, responses=CSV)
def list_moves(run: RunAdmin, query: Annotated[MovesQuery, Query()]) -> Any:
    """Relays that moved or are about to, with cause and state; the newest first."""

    def read(one: MovesQuery) -> MovesOut:
        found, next_before = run.read(queries.moves_list, **one.asked())
        parts = [MovePart.model_validate(each) for each in found]
        return MovesOut(moves=parts, next_before=next_before)

    return listed(query, read, name="moves", rows="moves", row=MovePart)


@router.post("/moves/{move_id}/cancel")
def cancel_move(run: RunAdmin, move_id: IdValue) -> DoneOut:
    """Take a move back that has not begun."""
    run(service.cancel_move, move_id=move_id)
    return DoneOut()


@router.get("/state")
def show_state(request: Request, run: RunAdmin) -> StateOut:
    """Whether moves are frozen, how many are under way, how many more may begin."""
    settings = request.app.state.system.settings
    limits = Limits(settings.moves_per_minute, settings.moves_share_percent)
    return run.read(_state, limits)


@server_router.get("/{server_id}/health")
def show_health(
    run: RunAdmin, server_id: IdValue, query: Annotated[HealthQuery, Query()]
) -> HealthOut:
    """A server's state, the history of its states, and its latencies by hour or day."""
    return run.read(_health, server_id, query)


@server_router.post("/{server_id}/drain")
def drain(run: RunAdmin, server_id: IdValue, body: Drain) -> MovedOut:
    """Place nothing new on it; and move what it carries, if wanted."""
    return MovedOut(moves=run(service.drain, server_id=server_id, is_moving_off=body.move))


@server_router.post("/{server_id}/undrain")
def undrain(run: RunAdmin, server_id: IdValue) -> DoneOut:
    """Take a drain or a removal back; moves that have begun go on."""
    run(service.undrain, server_id=server_id)
    return DoneOut()


@server_router.post("/{server_id}/remove")
def remove(run: RunAdminFresh, server_id: IdValue, body: RemoveServer) -> RemovedOut:
    """Remove it: at once when it carries no relays, else, with `move`, when they are elsewhere."""
    if body.move:
        asked = run(service.leave, server_id=server_id, reason=body.reason, at_once=body.at_once)
        return RemovedOut(job_id=None, moves=asked)
    job = run(upkeep.remove, server_id=server_id, reason=body.reason)
    return RemovedOut(job_id=job.id, moves=0)


@server_router.post("/{server_id}/give_up")
def give_up(run: RunAdminFresh, server_id: IdValue, body: GiveUp) -> MovedOut:
    """Believe it stolen: its relays get new keys elsewhere, and it is never trusted again."""
    return MovedOut(moves=run(service.give_up, server_id=server_id, reason=body.reason))


@monitoring_router.get("/load_analysis")
def load_analysis(run: RunAdmin) -> LoadOut:
    """The present load of servers and regions, and what to do about it."""
    found = run.read(load.analyse)
    return LoadOut(load_analysis=found.servers, regions=found.regions)


def _state(work: UnitOfWork, limits: Limits) -> StateOut:
    reach = health.reach(work)
    counts = queries.counts(work)
    return StateOut(
        is_frozen=reach.is_cut_off,
        servers=reach.servers,
        lost=reach.lost,
        waiting=counts.get(MoveStatus.WAITING, 0),
        preparing=counts.get(MoveStatus.PREPARING, 0),
        switched=counts.get(MoveStatus.SWITCHED, 0),
        shared=queries.shared(work),
        may_begin_within_minute=max(0, service.room_by_minute(work, limits)),
        may_begin_within_hour=max(0, service.room_by_share(work, limits)),
    )


def _health(work: UnitOfWork, server_id: int, query: HealthQuery) -> HealthOut:
    server = servers.get(work, server_id)
    known = health.of(work, server_id=server_id)
    changes, next_before = queries.changes(
        work, server_id=server_id, before=query.before, limit=query.limit
    )
    points = monitoring.trend(
        work,
        server_id=server_id,
        prefix="latency.",
        since=work.now - timedelta(hours=query.hours),
        step=query.step,
    )
    by_metric: dict[str, list[Point]] = {}
    for point in points:
        by_metric.setdefault(point.metric, []).append(point)
    return HealthOut(
        server_id=server_id,
        status=server.status,
        since=known.since if known else None,
        cause=known.cause if known else None,
        losses=known.losses if known else 0,
        settles_at=known.settles_at if known else None,
        observers=health.votes_on(work, [server_id]).get(server_id, {}),
        draining_at=server.draining_at,
        drain_reason=server.drain_reason,
        leaving_at=server.leaving_at,
        relays_left=server.relay_count,
        changes=[
            ChangePart(
                at=one.at,
                before=one.before,
                after=one.after,
                cause=one.cause,
                evidence=json.loads(one.evidence),
            )
            for one in changes
        ],
        next_before=next_before,
        trends=[
            TrendPart(metric=metric, points=[PointPart.model_validate(one) for one in some])
            for metric, some in by_metric.items()
        ],
    )
