"""What servers may send in a month, and what `traffic` found that they sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import case, select, update

from derpman.kit.work import UnitOfWork
from derpman.servers.models import AtMargin, Server, Transport
from derpman.servers.states import ServerStatus

BATCH = 500


@dataclass(frozen=True)
class Allowance:
    """A server, as far as its traffic goes."""

    ip: str
    transport: Transport
    billing_day: int
    monthly_allowance_bytes: int | None
    margin_percent: int | None
    at_margin: AtMargin
    traffic_bytes: int
    month_traffic_bytes: int
    is_halted: bool


def allowances(work: UnitOfWork) -> dict[int, Allowance]:
    """Return the servers that are not removed, by id."""
    rows = work.session.execute(
        select(
            Server.id,
            Server.ip,
            Server.transport,
            Server.billing_day,
            Server.monthly_allowance_bytes,
            Server.margin_percent,
            Server.at_margin,
            Server.traffic_bytes,
            Server.month_traffic_bytes,
            Server.halted_at,
        ).where(Server.status != ServerStatus.REMOVED)
    )
    return {row.id: Allowance(*row[1:9], row.halted_at is not None) for row in rows}


def record_traffic(work: UnitOfWork, *, totals: Mapping[int, tuple[int, int]]) -> None:
    """Write what servers sent in all and this month, by server; one statement for each 500."""
    server_ids = sorted(totals)
    for start in range(0, len(server_ids), BATCH):
        ids = server_ids[start : start + BATCH]
        work.session.execute(
            update(Server)
            .where(Server.id.in_(ids))
            .values(
                traffic_bytes=case({id_: totals[id_][0] for id_ in ids}, value=Server.id),
                month_traffic_bytes=case({id_: totals[id_][1] for id_ in ids}, value=Server.id),
            )
            .execution_options(synchronize_session=False)
        )
