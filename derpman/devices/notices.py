"""Mails about devices: to the customer whose relays they use or try."""

from __future__ import annotations

from datetime import datetime

from derpman.devices import queries
from derpman.devices.linkbook import Changes
from derpman.devices.models import Device, Knock, Source
from derpman.devices.states import KnockStatus
from derpman.kit.places import place_of
from derpman.kit.work import UnitOfWork
from derpman.rentals import service as rentals
from derpman.users import messages
from derpman.users import service as users

NAMES = 50
"""How many devices a mail names."""


def tell_registered(work: UnitOfWork, *, device_id: int, ip: str) -> None:
    """Tell a customer that a device may use his relays now."""
    device = work.session.get_one(Device, device_id)
    _tell_of_device(work, "device_added", device, ip, device.created_at)


def tell_removed(work: UnitOfWork, *, device_id: int, ip: str) -> None:
    """Tell a customer that a device was cut off."""
    device = work.session.get_one(Device, device_id)
    _tell_of_device(work, "device_removed", device, ip, device.removed_at or work.now)


def _tell_of_device(work: UnitOfWork, template: str, device: Device, ip: str, at: datetime) -> None:
    if device.source is Source.LINK and not ip:
        return  # followed in the linked tailnet: `tell_followed` told of all together
    user = users.get(work, device.user_id)
    messages.mail(
        work,
        user.id,
        template,
        params={
            "device": device.name,
            "node_key": device.node_key,
            "at": at,
            "ip": ip,
            "place": _place(ip, user.locale),
        },
    )


def tell_knocked(work: UnitOfWork, *, knock_id: int) -> None:
    """Tell a customer that a device waits for his click; nothing when it does not any more."""
    knock = work.session.get(Knock, knock_id)
    rental = None if knock is None else rentals.open_rental(work, knock.user_id)
    if knock is None or rental is None or knock.status is not KnockStatus.WAITING:
        return
    user = users.get(work, knock.user_id)
    free = queries.free_seat(work, user_id=user.id, limit=rental.device_limit)
    messages.mail(
        work,
        user.id,
        "device_refused",
        # A flood of made-up keys must not become a flood of mails.
        once_key=f"knock:{user.id}:{work.now:%Y%m%d%H}",
        params={
            "node_key": knock.node_key,
            "at": knock.last_at,
            "ip": knock.ip_address,
            "place": _place(knock.ip_address, user.locale),
            "limit": rental.device_limit,
            "is_full": free is None,
        },
    )


def tell_followed(work: UnitOfWork, *, user_id: int, changes: Changes) -> None:
    """Tell a customer what changed because his linked tailnet did."""
    facts = {"added": changes.added, "removed": changes.removed, "no_room": changes.no_room}
    _tell_of_link(work, "devices_followed", user_id, **facts)


def tell_held(work: UnitOfWork, *, user_id: int, names: list[str]) -> None:
    """Tell a customer that so many devices are gone in his tailnet that we ask him first."""
    _tell_of_link(work, "devices_held", user_id, names=names)


def _tell_of_link(work: UnitOfWork, template: str, user_id: int, **lists: list[str]) -> None:
    user = users.get(work, user_id)
    comma = "、" if user.locale == "zh-CN" else ", "
    messages.mail(
        work,
        user.id,
        template,
        params={name: comma.join(names[:NAMES]) for name, names in lists.items()},
    )


def _place(ip: str, locale: str) -> str:
    place = place_of(ip)
    return place.label_zh if locale == "zh-CN" else place.label_en
