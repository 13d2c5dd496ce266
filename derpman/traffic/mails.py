"""Mails about traffic: to the customer whose quota is near or used up."""

from __future__ import annotations

from derpman.kit.work import UnitOfWork
from derpman.servers import service as servers
from derpman.traffic.models import TrafficPeriod
from derpman.users import messages

GIGABYTE = 1_000_000_000


def tell_passed(work: UnitOfWork, *, period_id: int, level: int) -> None:
    """Tell a customer how much of his traffic is used; nothing when a later level was passed."""
    period = work.session.get(TrafficPeriod, period_id)
    if period is None or period.level != level:
        return
    params = {
        "level": level,
        "used": gigabytes(period.used_bytes),
        "amount": gigabytes(period.limit_bytes),
        "period_ends_at": period.ends_at,
        "is_stopped": period.at_quota == "stop",
    }
    once = f"quota:{period_id}:{level}:{period.limit_bytes}"
    messages.mail(work, period.user_id, "quota_passed", params, once_key=once)


def tell_opened(work: UnitOfWork, *, period_id: int) -> None:
    """Tell a customer whose traffic was used up that his relays go on."""
    period = work.session.get(TrafficPeriod, period_id)
    if period is None or period.over_at is not None or period.open_rental_id is None:
        return
    params = {"amount": gigabytes(period.left_bytes), "period_ends_at": period.ends_at}
    once = f"quota_opened:{period_id}:{period.limit_bytes}"
    messages.mail(work, period.user_id, "quota_opened", params, once_key=once)


def tell_server_stopped(work: UnitOfWork, *, server_id: int, user_id: int) -> None:
    """Tell a customer that one of his relays stands still; nothing when it runs again."""
    server = servers.get(work, server_id)
    if server.halted_at is None:
        return
    once = f"server_stopped:{server_id}:{user_id}:{server.halted_at:%Y%m%d%H%M%S}"
    messages.mail(work, user_id, "server_stopped", {"region": server.region}, once_key=once)


def gigabytes(size: int) -> str:
    """Return a size as people read it: `1.5 GB`."""
    return f"{size / GIGABYTE:.2f}".rstrip("0").rstrip(".") + " GB"
