"""HTTP of containers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from derpman.containers import queries, restraints, service
from derpman.containers.schemas import (
    ContainerOut,
    ContainerQuery,
    ContainersOut,
    MineOut,
    RestraintOut,
    RestraintsOut,
    SlotOut,
)
from derpman.kit.csvfile import CSV, listed
from derpman.kit.http import RunAdmin, RunUser
from derpman.kit.work import UnitOfWork
from derpman.servers import service as servers
from derpman.users import service as users

router = APIRouter(prefix="/api/container", tags=["container"])


@router.get("/list", response_model=ContainersOut, responses=CSV)
def list_containers(run: RunAdmin, query: Annotated[ContainerQuery, Query()]) -> Any:
    """What is wanted against what runs, newest first; `is_differing` shows where they differ."""
    return listed(
        query,
        lambda one: run.read(_page, one),
        name="containers",
        rows="containers",
        row=ContainerOut,
    )


@router.get("/mine")
def list_mine(run: RunUser) -> MineOut:
    """The caller's own relays, by slot."""
    return run.read(_mine)


@router.get("/restraints")
def list_restraints(run: RunAdmin) -> RestraintsOut:
    """Whose relays are throttled or stopped because of an alert, newest first."""
    found = run.read(restraints.in_force)
    return RestraintsOut(restraints=[RestraintOut.model_validate(one) for one in found])


def _page(work: UnitOfWork, query: ContainerQuery) -> ContainersOut:
    found, next_before = queries.placements(work, **query.asked())
    regions = servers.regions_of(work, server_ids=[one.server_id for one in found])
    usernames = users.names_of(work, user_ids=[one.user_id for one in found])
    return ContainersOut(
        containers=[ContainerOut.seen_by_staff(one, regions, usernames) for one in found],
        next_before=next_before,
    )


def _mine(work: UnitOfWork) -> MineOut:
    placements = service.placements_of(work, user_id=work.actor.user_id or 0)
    regions = servers.regions_of(work, server_ids=[one.server_id for one in placements])
    return MineOut(containers=[SlotOut.of(one, regions) for one in placements])
