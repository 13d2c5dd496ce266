"""What can be done with servers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update

from derpman.kit.db import changed
from derpman.kit.work import UnitOfWork
from derpman.servers.errors import ServerNotFound
from derpman.servers.models import Server, ServerLink, Transport
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
    taken = changed(
        work.session,
        update(Server)
        .where(Server.id == server_id, _is_fit())
        .values(
            relay_count=Server.relay_count + 1,
            desired_generation=Server.desired_generation + 1,
        ),
    )
    work.wake("servers")
    return taken == 1


def give_back(work: UnitOfWork, *, server_id: int) -> None:
    """Give a place back that was claimed; the node will be told."""
    work.session.execute(
        update(Server)
        .where(Server.id == server_id)
        .values(
            relay_count=Server.relay_count - 1,
            desired_generation=Server.desired_generation + 1,
        )
    )
    work.wake("servers")


def touch(work: UnitOfWork, *, server_ids: Iterable[int]) -> None:
    """Say that what is wanted on these servers changed; their nodes will be told."""
    for server_id in sorted(set(server_ids)):
        work.session.execute(
            update(Server)
            .where(Server.id == server_id)
            .values(desired_generation=Server.desired_generation + 1)
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


def regions_of(work: UnitOfWork, *, server_ids: Iterable[int]) -> dict[int, str]:
    """Return where servers stand, by their ids."""
    rows = work.session.execute(
        select(Server.id, Server.region).where(Server.id.in_(set(server_ids)))
    )
    return {row.id: row.region for row in rows}


def ensure_local(
    work: UnitOfWork,
    *,
    ip: str,
    region: str,
    socket_path: str,
    port_from: int,
    port_to: int,
    capacity: int,
) -> Server:
    """Return the server of a node on this machine, healthy at once; add it when it is missing."""
    server = work.session.scalar(select(Server).where(Server.present_ip == ip))
    if server is None:
        server = Server(
            ip=ip,
            present_ip=ip,
            public_ip=ip,
            region=region,
            status=ServerStatus.HEALTHY,
            transport=Transport.LOCAL,
            created_at=work.now,
        )
        work.session.add(server)
    server.socket_path = socket_path
    server.port_from, server.port_to = port_from, port_to
    server.capacity = capacity
    server.updated_at = work.now
    work.session.flush()
    if work.session.get(ServerLink, server.id) is None:
        work.session.add(ServerLink(server_id=server.id))
    work.wake("servers")
    return server
