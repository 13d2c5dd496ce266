"""Devices as their pages show them: who is where, who waits, whether a pairing window is open."""

from __future__ import annotations

from typing import Any

from derpman.devices import queries
from derpman.devices.models import Device, Knock
from derpman.devices.schemas import DevicePart, DevicesOut, KnockPart, PairingOut
from derpman.devices.sightings import last_seen
from derpman.devices.states import KNOCK_TRANSITIONS, KnockStatus
from derpman.kit.paging import page
from derpman.kit.states import allowed_actions
from derpman.kit.work import UnitOfWork
from derpman.rentals import service as rentals

KNOCKS_AGAIN = "knock"
"""The device's own doing, no button."""
KNOCKS_SHOWN = 50


def of_user(work: UnitOfWork, *, user_id: int) -> dict[str, Any]:
    """Return a customer's devices, waiting knocks and pairing window, as JSON."""
    return {
        **devices(work, user_id=user_id).model_dump(mode="json"),
        "knocks": [one.model_dump(mode="json") for one in waiting(work, user_id=user_id)],
        "pairing": pairing(work, user_id=user_id).model_dump(mode="json"),
    }


def devices(work: UnitOfWork, *, user_id: int, removed: bool = False) -> DevicesOut:
    """Return a customer's devices with where each is connected, or the removed ones."""
    rental = rentals.open_rental(work, user_id)
    connections = {} if removed else queries.connections_of(work, user_id=user_id)
    found = queries.devices_of(work, user_id=user_id, removed=removed)
    return DevicesOut(
        devices=[_device(work, device, connections) for device in found],
        limit=None if rental is None else rental.device_limit,
    )


def waiting(work: UnitOfWork, *, user_id: int) -> list[KnockPart]:
    """Return the newest devices that wait for a click."""
    select = queries.knocks_of(user_id, KnockStatus.WAITING)
    found, _ = page(work.session, select, Knock.id, None, KNOCKS_SHOWN)
    return [knock(one) for one in found]


def knock(row: Knock) -> KnockPart:
    """Return a knock and what may be done with it."""
    actions = allowed_actions(KNOCK_TRANSITIONS, row.status)
    part = KnockPart.model_validate(row)
    return part.model_copy(
        update={"allowed_actions": [action for action in actions if action != KNOCKS_AGAIN]}
    )


def pairing(work: UnitOfWork, *, user_id: int) -> PairingOut:
    """Return whether a pairing window is open, and until when."""
    window = queries.pairing(work, user_id=user_id)
    if window is None:
        return PairingOut(is_open=False)
    return PairingOut(is_open=True, until=window.until, taken=window.taken)


def _device(
    work: UnitOfWork, device: Device, connections: dict[str, list[dict[str, object]]]
) -> DevicePart:
    part = DevicePart.model_validate(device)
    mine = connections.get(device.node_key, [])
    return part.model_copy(
        update={"connections": mine, "last_seen_at": last_seen(device, work.now, bool(mine))}
    )
