"""Mails about ACLs, queued by the handlers of their events."""

from __future__ import annotations

from derpman.acl import service
from derpman.acl.states import AclStatus
from derpman.containers import service as containers
from derpman.kit.work import UnitOfWork
from derpman.notifications import service as notifications
from derpman.servers import service as servers
from derpman.users import service as users

REASONS = {
    "generated": ("管理员重新生成", "an administrator made it anew"),
    "regions": ("区域编号已更换", "other region ids were chosen"),
    "slot_filled": ("补齐了中继", "a relay was added"),
}
"""What the reasons that are words of ours mean, in Chinese and English; others are sentences."""


def tell_replaced(work: UnitOfWork, *, version_id: int) -> None:
    """Tell a customer that his relays have changed; nothing when a newer version did so again."""
    version = service.get(work, version_id)
    if version.status is not AclStatus.CURRENT:
        return
    user = users.get(work, version.user_id)
    placements = containers.placements_of(work, rental_id=version.rental_id)
    regions = servers.regions_of(work, server_ids=[one.server_id for one in placements])
    zh, en = REASONS.get(version.reason, (version.reason, version.reason))
    notifications.queue_mail(
        work,
        template="acl_changed",
        address=user.email,
        locale=user.locale,
        user_id=user.id,
        once_key=f"acl_changed:{version_id}",
        params={
            "username": user.username,
            "version": version.number,
            "reason": zh if user.locale == "zh-CN" else en,
            "relays": [
                {
                    "slot": one.slot,
                    "region": regions[one.server_id],
                    "address": one.address,
                    "port": one.port,
                }
                for one in placements
            ],
        },
    )
