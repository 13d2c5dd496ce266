"""Verbs on devices: register, remove, approve; what is admitted is written down to the relays."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from derpman.containers import service as containers
from derpman.devices import queries
from derpman.devices.errors import (
    AlreadyRegistered,
    DeviceNotFound,
    KnockNotFound,
    LimitReached,
    NoRental,
)
from derpman.devices.events import DeviceRegistered, DeviceRemoved
from derpman.devices.keys import Seen, clean_name
from derpman.devices.models import Device, Knock, PairingWindow, Source
from derpman.devices.states import (
    DEVICE_TRANSITIONS,
    KNOCK_TRANSITIONS,
    DeviceStatus,
    KnockStatus,
)
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.rentals import service as rentals
from derpman.users import service as users

LIVE_TOPIC = "live.devices"


def register(
    work: UnitOfWork,
    *,
    user_id: int,
    node_key: str,
    name: str,
    source: Source,
    system: str = "",
    ip: str = "",
) -> Device:
    """Register a device and let it in on the customer's relays.

    A device that was removed comes back as the same row. Two registrations that race for the last
    place wait for each other at the customer's row, or meet in the unique key of (user, seat).
    `ip` is the device's own address where it is taken up by itself.
    """
    users.lock(work, user_id)
    rental = rentals.open_rental(work, user_id)
    if rental is None:
        raise NoRental
    device = work.session.scalar(
        select(Device).where(Device.user_id == user_id, Device.node_key == node_key)
    )
    if device is not None and device.status is DeviceStatus.REGISTERED:
        raise AlreadyRegistered(name=device.name)
    seat = queries.free_seat(work, user_id=user_id, limit=rental.device_limit)
    if seat is None:
        raise LimitReached(limit=rental.device_limit)
    if device is None:
        device = Device(
            user_id=user_id,
            node_key=node_key,
            name=name,
            system=system,
            source=source,
            status=DeviceStatus.REGISTERED,
            seat=seat,
            created_at=work.now,
        )
        work.session.add(device)
    else:
        device.status = next_state(DEVICE_TRANSITIONS, device.status, "register")
        device.name, device.system, device.source = name, system or device.system, source
        device.seat, device.created_at, device.removed_at = seat, work.now, None
    work.session.flush()
    _settle_knock(work, user_id=user_id, node_key=node_key)
    containers.admit(work, user_id=user_id, node_key=node_key)
    _log(work, device, "device.register")
    work.emit(DeviceRegistered(device_id=device.id, ip=ip or work.actor.ip))
    work.wake(LIVE_TOPIC)
    return device


def remove(work: UnitOfWork, *, user_id: int, device_id: int) -> Device:
    """Remove a device: its connections are cut on every relay within seconds."""
    users.lock(work, user_id)
    device = get(work, user_id=user_id, device_id=device_id)
    device.status = next_state(DEVICE_TRANSITIONS, device.status, "remove")
    device.seat, device.removed_at = None, work.now
    containers.refuse(work, user_id=user_id, node_key=device.node_key)
    _log(work, device, "device.remove")
    work.emit(DeviceRemoved(device_id=device.id, ip=work.actor.ip))
    work.wake(LIVE_TOPIC)
    return device


def rekey(work: UnitOfWork, *, user_id: int, device: Device, node_key: str) -> None:
    """Give a device the node key that it has now: the old one is cut off, the seat stays.

    For a key that no row of this customer has; one that has it is registered instead.
    """
    users.lock(work, user_id)
    before, device.node_key = device.node_key, node_key
    work.session.flush()
    _settle_knock(work, user_id=user_id, node_key=node_key)
    containers.refuse(work, user_id=user_id, node_key=before)
    containers.admit(work, user_id=user_id, node_key=node_key)
    what = {"name": device.name, "before": before, "after": node_key}
    logs.record(work, action="device.rekey", object_type="device", object_id=device.id, after=what)
    logs.record_user(work, user_id=user_id, action="device.rekey", detail=what)
    work.wake(LIVE_TOPIC)


def rename(work: UnitOfWork, *, user_id: int, device_id: int, name: str) -> Device:
    """Give a device another name."""
    device = get(work, user_id=user_id, device_id=device_id)
    device.name = name
    work.wake(LIVE_TOPIC)
    return device


def get(work: UnitOfWork, *, user_id: int, device_id: int) -> Device:
    """Return a device of this customer; another's does not exist for him."""
    device = work.session.get(Device, device_id)
    if device is None or device.user_id != user_id:
        raise DeviceNotFound
    return device


def import_seen(
    work: UnitOfWork, *, user_id: int, seen: list[Seen], source: Source = Source.STATUS_JSON
) -> list[tuple[Seen, str]]:
    """Register the devices a status names, as far as the plan allows; return each with its result.

    Results: `registered`, `already_registered`, `limit_reached`.
    """
    known = queries.registered_keys(work, user_id=user_id)
    results: list[tuple[Seen, str]] = []
    full = False
    for one in seen:
        if one.node_key in known:
            results.append((one, "already_registered"))
            continue
        if not full:
            try:
                register(
                    work,
                    user_id=user_id,
                    node_key=one.node_key,
                    name=one.name,
                    system=one.system,
                    source=source,
                )
                results.append((one, "registered"))
                continue
            except LimitReached:
                full = True
        results.append((one, "limit_reached"))
    return results


def approve(
    work: UnitOfWork,
    *,
    user_id: int,
    knock_id: int,
    name: str | None = None,
    replaces_device_id: int | None = None,
) -> Device:
    """Let a device that knocked in; `replaces_device_id` names the one whose place it takes."""
    knock = _knock(work, user_id=user_id, knock_id=knock_id)
    if replaces_device_id is not None:
        old = get(work, user_id=user_id, device_id=replaces_device_id)
        name = name or old.name
        remove(work, user_id=user_id, device_id=replaces_device_id)
        work.session.flush()
    next_state(KNOCK_TRANSITIONS, knock.status, "approve")
    return register(
        work,
        user_id=user_id,
        node_key=knock.node_key,
        name=clean_name(name or "") or knock.node_key[8:20],
        source=Source.KNOCK,
    )


def block(work: UnitOfWork, *, user_id: int, knock_id: int) -> Knock:
    """Keep a device out of the waiting list, and out of every pairing window."""
    return _move_knock(work, user_id, knock_id, "block")


def unblock(work: UnitOfWork, *, user_id: int, knock_id: int) -> Knock:
    """Put a blocked device back among the waiting."""
    return _move_knock(work, user_id, knock_id, "unblock")


def _move_knock(work: UnitOfWork, user_id: int, knock_id: int, action: str) -> Knock:
    knock = _knock(work, user_id=user_id, knock_id=knock_id)
    knock.status = next_state(KNOCK_TRANSITIONS, knock.status, action)
    logs.record(
        work,
        action=f"knock.{action}",
        object_type="knock",
        object_id=knock.id,
        after={"node_key": knock.node_key},
    )
    work.wake(LIVE_TOPIC)
    return knock


def open_pairing(work: UnitOfWork, *, user_id: int, minutes: int) -> PairingWindow:
    """Take up devices that knock in the next minutes; those that wait already come first."""
    users.lock(work, user_id)
    if rentals.open_rental(work, user_id) is None:
        raise NoRental
    window = work.session.get(PairingWindow, user_id)
    if window is None:
        window = PairingWindow(user_id=user_id)
        work.session.add(window)
    window.opened_at, window.until = work.now, work.now + timedelta(minutes=minutes)
    window.taken = 0
    work.session.flush()
    recent = queries.waiting_since(work, user_id=user_id, since=work.now - timedelta(minutes=2))
    for knock in recent:
        if not take_up(work, window, knock):
            break
    logs.record(
        work,
        action="pairing.open",
        object_type="user",
        object_id=user_id,
        after={"minutes": minutes},
    )
    work.wake(LIVE_TOPIC)
    return window


def close_pairing(work: UnitOfWork, *, user_id: int) -> None:
    """End the pairing window now; nothing happens when none is open."""
    window = queries.pairing(work, user_id=user_id)
    if window is not None:
        window.until = work.now
        logs.record(work, action="pairing.close", object_type="user", object_id=user_id)
        work.wake(LIVE_TOPIC)


def take_up(work: UnitOfWork, window: PairingWindow, knock: Knock) -> bool:
    """Register a device that knocks while the window is open; tell whether there was a place."""
    try:
        register(
            work,
            user_id=knock.user_id,
            node_key=knock.node_key,
            name=knock.node_key[8:20],
            source=Source.PAIRING,
            ip=knock.ip_address,
        )
    except (LimitReached, NoRental):
        return False
    window.taken += 1
    return True


def _knock(work: UnitOfWork, *, user_id: int, knock_id: int) -> Knock:
    knock = work.session.get(Knock, knock_id)
    if knock is None or knock.user_id != user_id:
        raise KnockNotFound
    return knock


def _settle_knock(work: UnitOfWork, *, user_id: int, node_key: str) -> None:
    knock = work.session.scalar(
        select(Knock).where(Knock.user_id == user_id, Knock.node_key == node_key)
    )
    if knock is not None and knock.status is not KnockStatus.APPROVED:
        knock.status = next_state(KNOCK_TRANSITIONS, knock.status, "approve")


def _log(work: UnitOfWork, device: Device, action: str) -> None:
    what = {"node_key": device.node_key, "name": device.name, "source": device.source.value}
    logs.record(work, action=action, object_type="device", object_id=device.id, after=what)
    logs.record_user(work, user_id=device.user_id, action=action, detail=what)
