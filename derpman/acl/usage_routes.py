"""HTTP of which version tailnets have applied."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from derpman.acl import queries, standing, usage
from derpman.acl.schemas import Applied, AppliedOut, UsagePart, UsageQuery, UsagesOut
from derpman.kit.csvfile import CSV, listed
from derpman.kit.http import Guarded, RunAdmin, RunUser
from derpman.kit.throttle import Limit
from derpman.kit.work import UnitOfWork

router = APIRouter(prefix="/api/acl", tags=["acl"])
WORDS = Limit("acl-applied", 30, 600)
"""How often one customer may say so in ten minutes."""


@router.post("/applied")
def tell_applied(run: RunUser, guards: Guarded, body: Applied) -> AppliedOut:
    """The caller says that he applied this version to his tailnet."""
    guards.take(WORDS, str(run.actor.user_id))
    return AppliedOut(applied=run(_told, body.version))


@router.get("/usage", response_model=UsagesOut, responses=CSV)
def list_usage(run: RunAdmin, query: Annotated[UsageQuery, Query()]) -> Any:
    """Which version each tailnet has applied, and how we know."""
    return listed(
        query,
        lambda one: run.read(_usages, one),
        name="acl_usage",
        rows="usages",
        row=UsagePart,
    )


def _told(work: UnitOfWork, number: int) -> standing.AppliedPart | None:
    usage.tell(work, number=number)
    return standing.applied(work, user_id=work.actor.user_id or 0)


def _usages(work: UnitOfWork, query: UsageQuery) -> UsagesOut:
    found, next_before = queries.usages(work, **query.asked())
    return UsagesOut(usages=standing.usages(work, found), next_before=next_before)
