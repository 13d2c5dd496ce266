"""Mails about ACLs: queued by the handlers of their events and by what time makes due."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from derpman.acl import service, usage
from derpman.acl.models import AclVersion
from derpman.acl.service import NO_GRACE
from derpman.acl.states import AclStatus
from derpman.containers import service as containers
from derpman.kit.work import UnitOfWork
from derpman.servers import service as servers
from derpman.users import messages
from derpman.users import service as users

ROTATION = "rotation"
REASONS = {
    "generated": ("管理员重新生成", "an administrator made it anew"),
    "regions": ("区域编号已更换", "other region ids were chosen"),
    "slot_filled": ("补齐了中继", "a relay was added"),
    "moved": ("管理员迁移了中继", "an administrator moved a relay"),
    "failover": (
        "服务器故障，中继已由其他服务器接替",
        "a server failed, another took its relay over",
    ),
    "server_drained": ("服务器停用，中继已迁移", "a server is being emptied, its relay moved"),
    "server_removed": (
        "服务器即将移除，旧中继将在下述时间停止",
        "a server is being removed, and its old relay stops at the time below",
    ),
    "server_margin": (
        "服务器流量即将用尽，中继已迁移",
        "a server has used up its traffic, its relay moved",
    ),
    "server_given_up": (
        "服务器不再可信，旧中继已停止，请立即更新",
        "a server is trusted no more, its old relay has ended: please update at once",
    ),
    "relays_spread": ("中继重新分布到不同服务器", "your relays are on different servers again"),
    ROTATION: ("定期更换端口", "the ports are changed regularly"),
}
"""What the reasons that are words of ours mean, in Chinese and English; others are sentences."""


def tell_replaced(work: UnitOfWork, *, version_id: int, grace: timedelta = NO_GRACE) -> None:
    """Tell a customer that his relays have changed; nothing when a newer version did so again.

    Of what is changed regularly he is told a little later: his tailnet may take it by itself.
    """
    version = service.get(work, version_id)
    if version.status is not AclStatus.CURRENT or version.reason == ROTATION:
        return
    former = _left_behind(work, version)
    if former is not None:
        _tell_overlap(work, version, service.ends_at(former, grace))
        return
    more = {"reason": _reason(work, version)}
    _queue(work, "acl_changed", version, once_key=f"acl_changed:{version_id}", more=more)


def tell_rotated(work: UnitOfWork, *, version: AclVersion, ends_at: datetime) -> None:
    """Tell a customer of the version that was made regularly, unless he follows his address.

    Then he hears of it only when his tailnet has not taken it a day later.
    """
    if not usage.takes_by_itself(work, user_id=version.user_id):
        _tell_overlap(work, version, ends_at)


def _tell_overlap(work: UnitOfWork, version: AclVersion, ends_at: datetime) -> None:
    more = {"reason": _reason(work, version), "ends_at": ends_at}
    _queue(work, "acl_rotated", version, once_key=f"acl_changed:{version.id}", more=more)


def _reason(work: UnitOfWork, version: AclVersion) -> str:
    zh, en = REASONS.get(version.reason, (version.reason, version.reason))
    return zh if users.get(work, version.user_id).locale == "zh-CN" else en


def _left_behind(work: UnitOfWork, version: AclVersion) -> AclVersion | None:
    """Return the version before this one when it names relays that run and this one does not."""
    former = work.session.scalar(
        select(AclVersion).where(
            AclVersion.user_id == version.user_id,
            AclVersion.number == version.number - 1,
            AclVersion.status == AclStatus.SUPERSEDED,
        )
    )
    if former is None:
        return None
    left = usage.pins_of(former) - usage.pins_of(version)
    live = containers.placements_of(work, rental_id=version.rental_id)
    return former if any(one.pin in left for one in live) else None


def remind(
    work: UnitOfWork, *, version: AclVersion, current: AclVersion, day: int, ends_at: datetime
) -> None:
    """Remind a customer that his tailnet still uses a version that ends; once for each day."""
    _queue(
        work,
        "acl_reminder",
        current,
        once_key=f"acl_reminder:{version.id}:{day}",
        more={"old_version": version.number, "ends_at": ends_at},
    )


def tell_ended(work: UnitOfWork, *, version: AclVersion, current: AclVersion) -> None:
    """Tell a customer that the version his tailnet uses has ended, and what to do."""
    _queue(
        work,
        "acl_ended",
        current,
        once_key=f"acl_ended:{version.id}",
        more={"old_version": version.number},
    )


def _queue(
    work: UnitOfWork,
    template: str,
    version: AclVersion,
    *,
    once_key: str,
    more: Mapping[str, Any],
) -> None:
    """Queue a mail about a version; it lists the relays which that one names."""
    pins = usage.pins_of(version)
    live = containers.placements_of(work, rental_id=version.rental_id)
    placements = [one for one in live if one.pin in pins]
    regions = servers.regions_of(work, server_ids=[one.server_id for one in placements])
    messages.mail(
        work,
        version.user_id,
        template,
        once_key=once_key,
        params={
            "version": version.number,
            "relays": [
                {
                    "slot": one.slot,
                    "region": regions[one.server_id],
                    "address": one.address,
                    "port": one.port,
                }
                for one in placements
            ],
            **more,
        },
    )
