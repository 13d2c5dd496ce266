"""Selects behind the lists of devices and knocks."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, select

from derpman.containers.models import Placement
from derpman.devices.models import Device, Knock, LinkedDevice, PairingWindow, Presence
from derpman.devices.states import DeviceStatus, KnockStatus
from derpman.kit.work import UnitOfWork


def free_seat(work: UnitOfWork, *, user_id: int, limit: int) -> int | None:
    """Return the lowest free place of the plan, or None when all are taken."""
    taken = set(
        work.session.scalars(
            select(Device.seat).where(Device.user_id == user_id, Device.seat.is_not(None))
        )
    )
    return next((seat for seat in range(1, limit + 1) if seat not in taken), None)


def registered_keys(work: UnitOfWork, *, user_id: int) -> set[str]:
    """Return the node keys of a customer's registered devices."""
    return set(
        work.session.scalars(
            select(Device.node_key).where(
                Device.user_id == user_id, Device.status == DeviceStatus.REGISTERED
            )
        )
    )


def devices_of(work: UnitOfWork, *, user_id: int, removed: bool = False) -> list[Device]:
    """Return a customer's registered devices, by name; or those that were removed."""
    status = DeviceStatus.REMOVED if removed else DeviceStatus.REGISTERED
    return list(
        work.session.scalars(
            select(Device)
            .where(Device.user_id == user_id, Device.status == status)
            .order_by(Device.name, Device.id)
        )
    )


def is_known(work: UnitOfWork, *, user_id: int, node_key: str) -> bool:
    """Tell whether a customer has, or once had, a device with this node key."""
    row = select(Device.id).where(Device.user_id == user_id, Device.node_key == node_key)
    return work.session.scalar(row) is not None


def linked_of(work: UnitOfWork, *, user_id: int) -> list[LinkedDevice]:
    """Return the devices of a customer's linked tailnet, by name."""
    return list(
        work.session.scalars(
            select(LinkedDevice)
            .where(LinkedDevice.user_id == user_id)
            .order_by(LinkedDevice.name, LinkedDevice.id)
        )
    )


def connections_of(work: UnitOfWork, *, user_id: int) -> dict[str, list[dict[str, object]]]:
    """Return where each of a customer's devices is connected: node key to slots and addresses."""
    rows = work.session.execute(
        select(Presence.node_key, Placement.slot, Presence.address, Presence.since)
        .join(Placement, Placement.id == Presence.placement_id)
        .where(Presence.user_id == user_id)
        .order_by(Placement.slot)
    )
    found: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        found.setdefault(row.node_key, []).append(
            {"slot": row.slot, "address": row.address, "since": row.since}
        )
    return found


def knocks_of(user_id: int, status: KnockStatus) -> Select[Knock]:
    """Return the select of a customer's knocks in a state."""
    return select(Knock).where(Knock.user_id == user_id, Knock.status == status)


def waiting_since(work: UnitOfWork, *, user_id: int, since: datetime) -> list[Knock]:
    """Return the devices that wait and knocked lately, the first to come first."""
    return list(
        work.session.scalars(
            knocks_of(user_id, KnockStatus.WAITING)
            .where(Knock.last_at >= since)
            .order_by(Knock.first_at, Knock.id)
        )
    )


def pairing(work: UnitOfWork, *, user_id: int) -> PairingWindow | None:
    """Return the pairing window that is open now."""
    window = work.session.get(PairingWindow, user_id)
    return window if window is not None and window.until > work.now else None
