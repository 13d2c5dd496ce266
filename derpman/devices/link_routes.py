"""`/api/security/link/…`: the devices of a linked tailnet."""

from __future__ import annotations

from fastapi import APIRouter

from derpman.devices import links, queries
from derpman.devices.models import LinkedDevice
from derpman.devices.schemas import (
    LinkedDevicesOut,
    LinkedOut,
    LinkedPart,
    SettledOut,
    SettleRemovals,
)
from derpman.devices.states import LINKED_TRANSITIONS, LinkedStatus
from derpman.kit.http import Guarded, RunUser
from derpman.kit.states import allowed_actions
from derpman.kit.throttle import Limit
from derpman.kit.types import IdValue, Out
from derpman.kit.work import Edge, UnitOfWork
from derpman.tailnets import service as tailnets

router = APIRouter(prefix="/api/security/link", tags=["security"])
LOOKS = Limit("tailnet-looks", 20, 600)
BUTTONS = {"follow": "include"}
"""The words on buttons, where they are not those of the table."""


@router.get("/devices")
def list_linked(run: RunUser) -> LinkedDevicesOut:
    """The devices of the caller's linked tailnet, with what became of each."""
    return run.read(_listed, _me(run))


@router.post("/look")
def look_now(run: RunUser, guards: Guarded) -> Out:
    """Look at the tailnet now; the list tells soon what was seen."""
    guards.take(LOOKS, str(run.actor.user_id))
    run(links.look_now)
    return Out()


@router.post("/removals")
def settle_removals(run: RunUser, body: SettleRemovals) -> SettledOut:
    """Say whether devices that are gone in the tailnet are to go here, when that are many."""
    return SettledOut(devices=run(links.settle_removals, accept=body.accept))


@router.post("/devices/{linked_id}/include")
def include_linked(run: RunUser, linked_id: IdValue) -> LinkedOut:
    """Register a device of the tailnet that was left out, or had no room before."""
    return LinkedOut(device=_part(run(links.include, user_id=_me(run), linked_id=linked_id)))


@router.post("/devices/{linked_id}/leave_out")
def leave_out_linked(run: RunUser, linked_id: IdValue) -> LinkedOut:
    """Remove a device of the tailnet from the relays, and keep it out."""
    return LinkedOut(device=_part(run(links.leave_out, user_id=_me(run), linked_id=linked_id)))


def _me(run: Edge) -> int:
    assert run.actor.user_id is not None  # RunUser lets nobody else in
    return run.actor.user_id


def _listed(work: UnitOfWork, user_id: int) -> LinkedDevicesOut:
    link = tailnets.find(work, user_id=user_id)
    return LinkedDevicesOut(
        devices=[_part(row) for row in queries.linked_of(work, user_id=user_id)],
        held_removals=0 if link is None else link.held_removals,
        looked_at=None if link is None else link.looked_at,
    )


def _part(row: LinkedDevice) -> LinkedPart:
    status: LinkedStatus = row.status
    actions = [BUTTONS.get(one, one) for one in allowed_actions(LINKED_TRANSITIONS, status)]
    return LinkedPart.model_validate(row).model_copy(update={"allowed_actions": actions})
