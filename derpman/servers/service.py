"""What can be done with servers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update

from derpman.kit.work import UnitOfWork
from derpman.servers.errors import ServerNotFound
from derpman.servers.models import Server, ServerLink
from derpman.servers.states import ServerStatus

ALLOWANCE_SHARE = 0.9
"""Above this share of its monthly allowance a server takes nobody new."""


@dataclass(frozen=True)
class Candidate:
    """A server that can take one relay more."""

    id: int
    region: str
    relay_count: int
    capacity: int
    ip: str
    port_from: int
    port_to: int


def _is_fit() -> ColumnElement[bool]:
    return and_(
        Server.status == ServerStatus.HEALTHY,
        Server.relay_count < Server.capacity,
        or_(
            Server.monthly_allowance_bytes.is_(None),
            Server.month_traffic_bytes < Server.monthly_allowance_bytes * ALLOWANCE_SHARE,
        ),
    )


def candidates(work: UnitOfWork) -> list[Candidate]:
    """Return the servers that can take one relay more, the least loaded first."""
    share = Server.relay_count * 1.0 / case((Server.capacity > 0, Server.capacity), else_=1)
    rows = work.session.execute(
        select(
            Server.id,
            Server.region,
            Server.relay_count,
            Server.capacity,
            Server.public_ip,
            Server.port_from,
            Server.port_to,
        )
        .where(_is_fit())
        .order_by(share, Server.id)
    )
    return [Candidate(*row) for row in rows]


def claim(work: UnitOfWork, *, server_id: int) -> bool:
    """Take one place on a server while it has one; False when it has none any more.

    Its desired generation counts up, so its node will be told.
    """
    taken = work.session.execute(
        update(Server)
        .where(Server.id == server_id, _is_fit())
        .values(
            relay_count=Server.relay_count + 1,
            desired_generation=Server.desired_generation + 1,
        )
        .execution_options(synchronize_session=False)
    )
    work.wake("servers")
    return taken.rowcount == 1


def give_back(work: UnitOfWork, *, server_id: int) -> None:
    """Give a place back that was claimed; the node will be told."""
    work.session.execute(
        update(Server)
        .where(Server.id == server_id)
        .values(
            relay_count=Server.relay_count - 1,
            desired_generation=Server.desired_generation + 1,
        )
        .execution_options(synchronize_session=False)
    )
    work.wake("servers")


def touch(work: UnitOfWork, *, server_ids: Iterable[int]) -> None:
    """Say that what is wanted on these servers changed; their nodes will be told."""
    for server_id in sorted(set(server_ids)):
        work.session.execute(
            update(Server)
            .where(Server.id == server_id)
            .values(desired_generation=Server.desired_generation + 1)
            .execution_options(synchronize_session=False)
        )
    work.wake("servers")


def get(work: UnitOfWork, server_id: int) -> Server:
    """Return a server, also one that was removed; ServerNotFound when there is none."""
    server = work.session.get(Server, server_id)
    if server is None:
        raise ServerNotFound
    return server


def generations(work: UnitOfWork, *, server_id: int) -> tuple[int, int]:
    """Return which generation is wanted on a server, and which its node has accepted."""
    row = work.session.execute(
        select(Server.desired_generation, func.coalesce(ServerLink.applied_generation, 0))
        .outerjoin(ServerLink, ServerLink.server_id == Server.id)
        .where(Server.id == server_id)
    ).one_or_none()
    if row is None:
        raise ServerNotFound
    return row[0], row[1]
