"""HTTP of rentals: under `/api/user`, and the owner's route that fills a slot."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from derpman.containers.errors import NotEnoughServers
from derpman.kit.errors import Unavailable
from derpman.kit.http import Guarded, RunAdmin, RunUser
from derpman.kit.live import EVENTS, Live
from derpman.kit.types import IdValue
from derpman.kit.work import Edge, UnitOfWork
from derpman.rentals import picture, placing, service
from derpman.rentals.models import Rental
from derpman.rentals.schemas import (
    Activate,
    AllocateBody,
    AllocatedOut,
    DoneOut,
    Reason,
    RentalOut,
    RentalPart,
)
from derpman.serials import tries

router = APIRouter(prefix="/api/user", tags=["user"])
container_router = APIRouter(prefix="/api/container", tags=["container"])


@router.post("/activate")
def activate(request: Request, run: RunUser, guards: Guarded, body: Activate) -> RentalOut:
    """Spend a serial number: three relays and an ACL, all of it or nothing."""
    region_base: int = request.app.state.system.settings.region_base
    try:
        with tries.counted(guards, run.actor):
            return RentalOut(rental=run(_activated, body.code, region_base))
    except NotEnoughServers as error:
        _report_shortage(run, error)
        raise


@router.get("/rental")
def show_rental(run: RunUser) -> RentalOut:
    """The caller's rental with its relays as they are now; null when he has none."""
    return run.read(_mine)


@router.get("/rental/events", response_class=StreamingResponse, responses=EVENTS)
def watch_rental(request: Request, run: RunUser) -> StreamingResponse:
    """The same as a stream of server-sent events, one for every change."""
    live: Live = request.app.state.live
    if live.is_full:
        raise Unavailable

    def fetch() -> dict[str, Any]:
        return run.read(_mine).model_dump(mode="json")

    return live.stream(request, f"rental:{run.actor.user_id}", fetch)


@router.post("/{user_id}/rental/end")
def end_rental(run: RunAdmin, user_id: IdValue, body: Reason) -> RentalOut:
    """End a user's rental; its relays are released."""
    return RentalOut(rental=run(_ended, user_id, body.reason))


@router.post("/{user_id}/suspend")
def suspend(run: RunAdmin, user_id: IdValue, body: Reason) -> DoneOut:
    """Stop a user's service and sessions; nothing of his is lost."""
    run(service.suspend_user, user_id=user_id, reason=body.reason)
    return DoneOut()


@router.post("/{user_id}/reinstate")
def reinstate(run: RunAdmin, user_id: IdValue) -> DoneOut:
    """Undo a suspension."""
    run(service.reinstate_user, user_id=user_id)
    return DoneOut()


@container_router.post("/allocate")
def allocate(run: RunAdmin, body: AllocateBody) -> AllocatedOut:
    """Put a relay of an active rental on that server: in an empty slot, else one moves there."""
    return AllocatedOut(container_id=run(placing.allocate, **body.model_dump()).id)


def _report_shortage(run: Edge, error: NotEnoughServers) -> None:
    """Tell the admins in a transaction of its own: the refused one took its rows with it."""
    run(service.report_shortage, wanted=error.wanted, fit=error.fit)


def _activated(work: UnitOfWork, code: str, region_base: int) -> RentalPart:
    user_id = work.actor.user_id or 0
    rental = service.activate(work, code=code, user_id=user_id, region_base=region_base)
    return picture.of(work, rental)


def _mine(work: UnitOfWork) -> RentalOut:
    return picture.page_of(work, user_id=work.actor.user_id or 0)


def _ended(work: UnitOfWork, user_id: int, reason: str) -> RentalPart:
    rental: Rental = service.end_of_user(work, user_id=user_id, reason=reason)
    return picture.of(work, rental)
