"""What is odd in who connects: one device from many networks, floods of unknown devices."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import delete, func, select

from derpman.alerts import rules
from derpman.containers.reactions import Finding
from derpman.devices.models import DeviceNetwork, Knock
from derpman.devices.states import KnockStatus
from derpman.kit.db import Merge, upsert
from derpman.kit.work import UnitOfWork

KEEP = timedelta(days=7)
IPV4_BITS, IPV6_BITS = 24, 48
"""A device that moves within such a network has not moved: carriers and providers do that."""


def network_of(address: str) -> str | None:
    """Return the network of an address with or without a port, None of what is no address."""
    host = address
    if address.startswith("["):
        host = address[1:].partition("]")[0]
    elif address.count(":") == 1:
        host = address.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    bits = IPV4_BITS if parsed.version == 4 else IPV6_BITS
    return str(ipaddress.ip_network((parsed, bits), strict=False))


def note(work: UnitOfWork, came: Iterable[tuple[int, str, str]]) -> None:
    """Remember where devices came from just now: (user, node key, address), one statement."""
    rows = {
        (user_id, key, network, work.now)
        for user_id, key, address in came
        if (network := network_of(address)) is not None
    }
    names = ["user_id", "node_key", "network"]
    upsert(work.session, DeviceNetwork, names, {"last_at": Merge.PUT}, list(rows))


def many_addresses(work: UnitOfWork) -> list[Finding]:
    """Return the devices that newly came from many networks within the minutes of the rule."""
    rule = rules.rule(work, rules.MANY_ADDRESSES)
    if not rule.is_enabled:
        return []
    minutes = rule.thresholds["minutes"]
    count = func.count(DeviceNetwork.network)
    rows = work.session.execute(
        select(DeviceNetwork.user_id, DeviceNetwork.node_key, count)
        .where(DeviceNetwork.last_at > work.now - timedelta(minutes=minutes))
        .group_by(DeviceNetwork.user_id, DeviceNetwork.node_key)
        .having(count >= rule.thresholds["networks"])
    )
    return [
        Finding(
            f"{user_id}:{key.removeprefix('nodekey:')}",
            user_id,
            {"node_key": key, "networks": networks, "minutes": minutes},
        )
        for user_id, key, networks in rows
    ]


def unknown_floods(work: UnitOfWork) -> list[Finding]:
    """Return the customers whose relays many unknown devices tried within the rule's minutes."""
    rule = rules.rule(work, rules.UNKNOWN_FLOOD)
    if not rule.is_enabled:
        return []
    minutes = rule.thresholds["minutes"]
    rows = work.session.execute(
        select(Knock.user_id, func.count(Knock.id))
        .where(
            Knock.last_at > work.now - timedelta(minutes=minutes),
            Knock.status != KnockStatus.APPROVED,
        )
        .group_by(Knock.user_id)
        .having(func.count(Knock.id) >= rule.thresholds["devices"])
    )
    return [
        Finding(str(user_id), user_id, {"devices": devices, "minutes": minutes})
        for user_id, devices in rows
    ]


def forget_networks(work: UnitOfWork) -> None:
    """Forget where devices came from longer ago than any rule looks."""
    old = DeviceNetwork.last_at <= work.now - KEEP
    work.session.execute(delete(DeviceNetwork).where(old))
