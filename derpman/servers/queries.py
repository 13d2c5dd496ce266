"""Selects behind the lists of servers."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import case, func, or_, select

from derpman.kit.paging import page
from derpman.kit.work import UnitOfWork
from derpman.servers.models import Server, ServerLink, Upgrade, UpgradeStage
from derpman.servers.states import ServerStatus

SORTS = {
    "region": Server.region,
    "load": Server.load,
    "users": Server.relay_count,
    "month_traffic": Server.month_traffic_bytes,
}


def servers(
    work: UnitOfWork,
    *,
    before: int | None,
    limit: int,
    region: str | None = None,
    status: ServerStatus | None = None,
    search: str | None = None,
    sort: str | None = None,
) -> tuple[list[Server], int | None]:
    """Return servers, newest first or in the order `sort` of `SORTS`.

    Removed ones only when asked for by `status`.
    """
    found = select(Server)
    if status is None:
        found = found.where(Server.status != ServerStatus.REMOVED)
    else:
        found = found.where(Server.status == status)
    if region is not None:
        found = found.where(Server.region == region)
    if search:
        columns = (Server.ip, Server.public_ip, Server.region, Server.account_phone)
        found = found.where(or_(*(one.contains(search, autoescape=True) for one in columns)))
    return page(work.session, found, Server.id, before, limit, sort, SORTS)


def links(work: UnitOfWork, server_ids: Sequence[int]) -> dict[int, ServerLink]:
    """Return what is known of servers' nodes, by server."""
    found = select(ServerLink).where(ServerLink.server_id.in_(server_ids))
    return {link.server_id: link for link in work.session.scalars(found)}


def counts(work: UnitOfWork) -> dict[str, int]:
    """Return how many servers are in each state, without removed ones."""
    rows = work.session.execute(
        select(Server.status, func.count())
        .where(Server.status != ServerStatus.REMOVED)
        .group_by(Server.status)
        .order_by(Server.status)
    )
    return {status.value: count for status, count in rows}


def upgrades(
    work: UnitOfWork, *, before: int | None, limit: int, sort: str | None = None
) -> tuple[list[Upgrade], int | None]:
    """Return roll-outs, newest first."""
    return page(work.session, select(Upgrade), Upgrade.id, before, limit, sort)


def upgrade_stages(work: UnitOfWork, upgrade_ids: Sequence[int]) -> dict[int, list[UpgradeStage]]:
    """Return the servers' turns of roll-outs in their order, by roll-out."""
    found: dict[int, list[UpgradeStage]] = {}
    rows = (
        select(UpgradeStage)
        .where(UpgradeStage.upgrade_id.in_(upgrade_ids))
        .order_by(UpgradeStage.upgrade_id, UpgradeStage.position)
    )
    for stage in work.session.scalars(rows):
        found.setdefault(stage.upgrade_id, []).append(stage)
    return found


def regions(work: UnitOfWork) -> list[tuple[str, int, int, int, int, float]]:
    """Return region, servers, healthy ones, users, capacity and mean load, by region."""
    healthy = Server.status == ServerStatus.HEALTHY
    rows = work.session.execute(
        select(
            Server.region,
            func.count(Server.id),
            func.sum(case((healthy, 1), else_=0)),
            func.sum(Server.relay_count),
            func.sum(Server.capacity),
            func.avg(Server.load),
        )
        .where(Server.status != ServerStatus.REMOVED)
        .group_by(Server.region)
        .order_by(Server.region)
    )
    return [
        (region, servers, int(fit), int(users or 0), int(capacity or 0), float(load or 0))
        for region, servers, fit, users, capacity, load in rows
    ]


def addresses(work: UnitOfWork) -> set[str]:
    """Return the addresses of every server that is not removed: what belongs to the operator."""
    rows = work.session.execute(
        select(Server.ip, Server.public_ip).where(Server.status != ServerStatus.REMOVED)
    )
    return {address for row in rows for address in row if address}
