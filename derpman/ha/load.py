"""How servers and regions are loaded now, and what an operator should do about it, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from derpman.alerts.texts import Text
from derpman.ha import forecast, queries
from derpman.ha.schemas import LoadPart, RegionLoadPart
from derpman.kit.work import UnitOfWork
from derpman.monitoring import queries as monitoring
from derpman.monitoring.service import PANEL
from derpman.servers import service as servers
from derpman.servers.models import Server
from derpman.servers.states import ServerStatus

FULL_PERCENT = 85
BUSY_LOAD = 0.85
NEAR_PERCENT = 80
SOON = timedelta(days=14)
"""A region that is full within this, at its growth, is short of servers now."""
UNUSED = (ServerStatus.REMOVED, ServerStatus.ADDING, ServerStatus.FAILED)

ADVICE = {
    "given_up": Text(
        en="Given up: nothing to do but to remove it.", zh="已放弃信任：只需将其移除。"
    ),
    "replace": Text(
        en="Nobody reaches its relays. They are being moved; repair or remove the server.",
        zh="无人能访问其中继，正在迁移；请修复或移除该服务器。",
    ),
    "look": Text(
        en="The panel misses it. See why in its health, or move its relays by hand.",
        zh="面板无法正常访问。请在健康页面查看原因，或手动迁移其中继。",
    ),
    "wait": Text(en="It is back and must prove itself: wait.", zh="刚刚恢复，观察中，请稍候。"),
    "draining": Text(en="It takes nobody new, as was wished.", zh="按要求不再接收新用户。"),
    "halted": Text(
        en="Its traffic is used up and its relays stand still: buy traffic, or move them.",
        zh="流量已用尽，中继已停止：请购买流量或迁移中继。",
    ),
    "allowance": Text(
        en="Its monthly traffic is used up soon: buy more, or move relays off.",
        zh="本月流量即将用尽：请增购流量或迁出部分中继。",
    ),
    "overloaded": Text(
        en="Its processor is busy: move relays off, or lower its capacity.",
        zh="处理器繁忙：请迁出部分中继或降低容量。",
    ),
    "full": Text(
        en="Nearly full: add a server in this region.", zh="即将满员：请在该地区增加服务器。"
    ),
    "fine": Text(en="Nothing to do.", zh="无需处理。"),
    "add_region": Text(
        en="The region has no healthy server with room: add one.",
        zh="该地区没有可用的服务器：请增加。",
    ),
}


@dataclass(frozen=True)
class Load:
    """The answer: servers, the most loaded first, and regions."""

    servers: list[LoadPart]
    regions: list[RegionLoadPart]


def analyse(work: UnitOfWork) -> Load:
    """Return the present load of every server and region: a handful of statements."""
    rows = work.session.scalars(
        select(Server).where(Server.status.not_in(UNUSED)).order_by(Server.id)
    ).all()
    ids = [row.id for row in rows]
    contacts = servers.contacts(work, server_ids=ids)
    running = queries.running(work)
    latency = monitoring.newest(work, server_ids=ids, metric=f"{PANEL}.node")
    foretold = forecast.of_servers(work, rows)
    parts: list[LoadPart] = []
    for row in rows:
        then = foretold[row.id]
        contact = contacts.get(row.id)
        allowance = row.monthly_allowance_bytes
        percent = None if not allowance else row.month_traffic_bytes * 100 // allowance
        used = row.relay_count * 100 // max(1, row.capacity)
        advice = _advice(row, used, percent, then.allowance_ends_at)
        parts.append(
            LoadPart(
                server_id=row.id,
                ip=row.ip,
                region=row.region,
                status=row.status,
                users=row.relay_count,
                capacity=row.capacity,
                used_percent=used,
                relays_running=running.get(row.id, 0),
                load=row.load,
                rate_bytes_per_second=sum(contact.rates.values()) if contact else 0,
                month_traffic_bytes=row.month_traffic_bytes,
                month_remaining_bytes=None
                if allowance is None
                else max(0, allowance - row.month_traffic_bytes),
                allowance_percent=percent,
                latency_ms=latency.get(row.id),
                growth_per_day=then.growth_per_day,
                full_at=then.full_at,
                allowance_ends_at=then.allowance_ends_at,
                advice=advice,
                advice_text=ADVICE[advice].en,
                advice_text_zh=ADVICE[advice].zh,
            )
        )
    parts.sort(key=lambda one: (-one.used_percent, one.server_id))
    return Load(parts, _regions(work.now, parts))


def _advice(
    server: Server,
    used_percent: int,
    allowance_percent: int | None,
    allowance_ends_at: datetime | None,
) -> str:
    by_status = {
        ServerStatus.GIVEN_UP: "given_up",
        ServerStatus.DEAD: "replace",
        ServerStatus.UNHEALTHY: "look",
        ServerStatus.SUSPECT: "look",
        ServerStatus.RECOVERING: "wait",
    }
    if server.status in by_status:
        return by_status[server.status]
    if server.halted_at is not None:
        return "halted"
    if server.draining_at is not None:
        return "draining"
    if allowance_ends_at is not None or (allowance_percent or 0) >= NEAR_PERCENT:
        return "allowance"
    if server.load >= BUSY_LOAD:
        return "overloaded"
    return "full" if used_percent >= FULL_PERCENT else "fine"


def _regions(now: datetime, parts: Sequence[LoadPart]) -> list[RegionLoadPart]:
    by_region: dict[str, list[LoadPart]] = defaultdict(list)
    for part in parts:
        by_region[part.region].append(part)
    found: list[RegionLoadPart] = []
    for region, some in sorted(by_region.items()):
        healthy = [one for one in some if one.status is ServerStatus.HEALTHY]
        usable = [one for one in healthy if one.advice not in ("draining", "halted")]
        users, capacity = sum(one.users for one in usable), sum(one.capacity for one in usable)
        used = users * 100 // max(1, capacity)
        growth = round(sum(one.growth_per_day for one in usable), 2)
        full_at = forecast.full_at(now, users=users, capacity=capacity, growth_per_day=growth)
        is_short = used >= FULL_PERCENT or (full_at is not None and full_at < now + SOON)
        advice = "add_region" if not usable else "full" if is_short else "fine"
        found.append(
            RegionLoadPart(
                region=region,
                servers=len(some),
                healthy=len(healthy),
                users=sum(one.users for one in some),
                capacity=sum(one.capacity for one in some),
                used_percent=used,
                rate_bytes_per_second=sum(one.rate_bytes_per_second for one in some),
                load=round(sum(one.load for one in some) / len(some), 2),
                growth_per_day=growth,
                full_at=full_at,
                advice=advice,
                advice_text=ADVICE[advice].en,
                advice_text_zh=ADVICE[advice].zh,
            )
        )
    return found
