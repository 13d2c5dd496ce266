"""`/api/security/…`: devices, knocks, pairing."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import StreamingResponse

from derpman.devices import picture, queries, service
from derpman.devices.keys import devices_of_status, node_key
from derpman.devices.models import Knock, Source
from derpman.devices.schemas import (
    Approve,
    DeviceOut,
    DevicePart,
    DevicesOut,
    ImportOut,
    ImportResult,
    ImportStatus,
    KnockOut,
    KnocksOut,
    OpenPairing,
    PairingOut,
    RegisterDevice,
    RenameDevice,
)
from derpman.devices.states import KnockStatus
from derpman.kit.errors import Unavailable
from derpman.kit.http import RunAdmin, RunUser
from derpman.kit.live import EVENTS
from derpman.kit.paging import PageQuery, page
from derpman.kit.types import IdValue, Out
from derpman.kit.work import Edge, UnitOfWork

router = APIRouter(prefix="/api/security", tags=["security"])


def _me(run: Edge) -> int:
    assert run.actor.user_id is not None  # RunUser lets nobody else in
    return run.actor.user_id


@router.get("/devices")
def list_devices(run: RunUser, removed: bool = False) -> DevicesOut:
    """List the caller's devices, with where each is connected."""
    return run.read(picture.devices, user_id=_me(run), removed=removed)


@router.get("/users/{user_id}/devices")
def list_devices_of(run: RunAdmin, user_id: IdValue, removed: bool = False) -> DevicesOut:
    """List a customer's devices, for staff."""
    return run.read(picture.devices, user_id=user_id, removed=removed)


@router.post("/devices")
def register_device(run: RunUser, body: RegisterDevice) -> DeviceOut:
    """Register a device by its node key."""
    device = run(
        service.register,
        user_id=_me(run),
        node_key=node_key(body.node_key),
        name=body.name,
        source=Source.NODE_KEY,
    )
    return DeviceOut(device=DevicePart.model_validate(device))


@router.post("/devices/import")
def import_devices(run: RunUser, body: ImportStatus) -> ImportOut:
    """Register the devices that `tailscale status --json` names."""
    seen = devices_of_status(body.status)
    if body.node_keys is not None:
        chosen = {node_key(key) for key in body.node_keys}
        seen = [one for one in seen if one.node_key in chosen]
    if body.preview:
        known = run.read(queries.registered_keys, user_id=_me(run))
        results = [(one, "already_registered" if one.node_key in known else "new") for one in seen]
    else:
        results = run(service.import_seen, user_id=_me(run), seen=seen)
    return ImportOut(
        results=[
            ImportResult.model_validate(
                {
                    "node_key": one.node_key,
                    "name": one.name,
                    "system": one.system,
                    "result": result,
                }
            )
            for one, result in results
        ]
    )


@router.post("/devices/{device_id}/remove")
def remove_device(run: RunUser, device_id: IdValue) -> DeviceOut:
    """Remove a device; it is cut off on every relay within seconds."""
    device = run(service.remove, user_id=_me(run), device_id=device_id)
    return DeviceOut(device=DevicePart.model_validate(device))


@router.post("/devices/{device_id}/rename")
def rename_device(run: RunUser, device_id: IdValue, body: RenameDevice) -> DeviceOut:
    """Give a device another name."""
    device = run(service.rename, user_id=_me(run), device_id=device_id, name=body.name)
    return DeviceOut(device=DevicePart.model_validate(device))


@router.get("/knocks")
def list_knocks(
    run: RunUser,
    paging: Annotated[PageQuery, Query()],
    status: KnockStatus = KnockStatus.WAITING,
) -> KnocksOut:
    """List devices that are not registered and tried a relay, the newest first."""

    def read(work: UnitOfWork) -> KnocksOut:
        knocks, before = page(
            work.session,
            queries.knocks_of(_me(run), status),
            Knock.id,
            paging.before,
            paging.limit,
        )
        return KnocksOut(knocks=[picture.knock(one) for one in knocks], next_before=before)

    return run.read(read)


@router.post("/knocks/{knock_id}/approve")
def approve_knock(run: RunUser, knock_id: IdValue, body: Approve) -> DeviceOut:
    """Let a waiting device in, or put it in another's place."""
    device = run(
        service.approve,
        user_id=_me(run),
        knock_id=knock_id,
        name=body.name,
        replaces_device_id=body.replaces_device_id,
    )
    return DeviceOut(device=DevicePart.model_validate(device))


@router.post("/knocks/{knock_id}/block")
def block_knock(run: RunUser, knock_id: IdValue) -> KnockOut:
    """Keep a device out of the list and of every pairing window."""
    return KnockOut(knock=picture.knock(run(service.block, user_id=_me(run), knock_id=knock_id)))


@router.post("/knocks/{knock_id}/unblock")
def unblock_knock(run: RunUser, knock_id: IdValue) -> KnockOut:
    """Put a blocked device back among the waiting."""
    return KnockOut(knock=picture.knock(run(service.unblock, user_id=_me(run), knock_id=knock_id)))


@router.get("/pairing")
def show_pairing(run: RunUser) -> PairingOut:
    """Tell whether a pairing window is open, and until when."""
    return run.read(picture.pairing, user_id=_me(run))


@router.post("/pairing")
def open_pairing(run: RunUser, body: OpenPairing) -> PairingOut:
    """Take up devices that knock in the next minutes, up to the plan's limit."""
    window = run(service.open_pairing, user_id=_me(run), minutes=body.minutes)
    return PairingOut(is_open=True, until=window.until, taken=window.taken)


@router.post("/pairing/close")
def close_pairing(run: RunUser) -> Out:
    """End the pairing window now."""
    run(service.close_pairing, user_id=_me(run))
    return Out()


@router.get("/events", response_class=StreamingResponse, responses=EVENTS)
def stream_events(run: RunUser, request: Request) -> StreamingResponse:
    """Stream the caller's devices, knocks and pairing window as they change."""
    live = request.app.state.live
    if live.is_full:
        raise Unavailable
    user_id = _me(run)

    def fetch() -> dict[str, Any]:
        return run.read(picture.of_user, user_id=user_id)

    return live.stream(request, f"devices:{user_id}", fetch)
