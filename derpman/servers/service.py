"""What can be done with servers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update

from derpman.kit.db import changed
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.servers.errors import (
    ServerNotFound,
)
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
        Server.halted_at.is_(None),
        Server.draining_at.is_(None),
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


def place_beside(work: UnitOfWork, *, server_id: int) -> Candidate:
    """Return a server as the place of a relay that will follow one there, whatever its load."""
    server = get(work, server_id)
    return Candidate(
        server.id,
        server.region,
        server.relay_count,
        server.capacity,
        server.public_ip,
        server.port_from,
        server.port_to,
    )


def takes_successors(work: UnitOfWork, *, server_ids: Iterable[int]) -> set[int]:
    """Return which of these servers go on carrying relays, so that the next may stand there too."""
    steady = select(Server.id).where(
        Server.id.in_(set(server_ids)),
        Server.status == ServerStatus.HEALTHY,
        Server.draining_at.is_(None),
    )
    return set(work.session.scalars(steady))


def claim(work: UnitOfWork, *, server_id: int, is_beside: bool = False) -> bool:
    """Take one place on a server while it has one; False when it has none any more.

    Its desired generation counts up, so its node will be told. A relay that will follow one that is
    there (`is_beside`) is taken by a full server too: for a while there are two instead of one.
    """
    fit = Server.status != ServerStatus.REMOVED if is_beside else _is_fit()
    taken = changed(
        work.session,
        update(Server)
        .where(Server.id == server_id, fit)
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


def give_back_many(work: UnitOfWork, *, counts: Mapping[int, int]) -> None:
    """Give places of many servers back, locking them in the order of their ids."""
    work.session.execute(
        select(Server.id).where(Server.id.in_(counts)).order_by(Server.id).with_for_update()
    )
    work.session.execute(
        update(Server)
        .where(Server.id.in_(counts))
        .values(
            relay_count=Server.relay_count - case(dict(counts), value=Server.id),
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
        )
    work.wake("servers")


def get(work: UnitOfWork, server_id: int) -> Server:
    """Return a server, also one that was removed; ServerNotFound when there is none."""
    server = work.session.get(Server, server_id)
    if server is None:
        raise ServerNotFound
    return server


class Generations(NamedTuple):
    """Which generation is wanted on a server, and which its node has accepted."""

    wanted: int
    accepted: int
    is_halted: bool
    """Whatever is wanted, nothing runs until its provider counts anew."""


def generations(work: UnitOfWork, *, server_id: int) -> Generations:
    """Return how far a server's node is."""
    row = work.session.execute(
        select(
            Server.desired_generation,
            func.coalesce(ServerLink.applied_generation, 0),
            Server.halted_at.is_not(None),
        )
        .outerjoin(ServerLink, ServerLink.server_id == Server.id)
        .where(Server.id == server_id)
    ).one_or_none()
    if row is None:
        raise ServerNotFound
    return Generations(row[0], row[1], bool(row[2]))


IN_TOUCH = timedelta(seconds=30)
"""A node that said something within this time is in touch."""


@dataclass(frozen=True)
class Contact:
    """What was heard of a server last."""

    is_in_touch: bool
    rates: dict[int, int]
    """Bytes per second of the relays that send now, by relay."""


def contacts(work: UnitOfWork, *, server_ids: Iterable[int]) -> dict[int, Contact]:
    """Return for each server whether it is in touch, and what its relays send."""
    rows = work.session.execute(
        select(ServerLink.server_id, ServerLink.contact_at, ServerLink.rates).where(
            ServerLink.server_id.in_(set(server_ids))
        )
    )
    return {
        row.server_id: Contact(
            is_near := row.contact_at is not None and row.contact_at > work.now - IN_TOUCH,
            {int(relay): rate for relay, rate in json.loads(row.rates or "{}").items()}
            if is_near
            else {},
        )
        for row in rows
    }


def halt(work: UnitOfWork, *, server_id: int, is_halted: bool) -> bool:
    """Stop all relays of a server, or let them run again; False when that is so already."""
    free = Server.halted_at.is_(None)
    moved = changed(
        work.session,
        update(Server)
        .where(Server.id == server_id, free if is_halted else ~free)
        .values(
            halted_at=work.now if is_halted else None,
            desired_generation=Server.desired_generation + 1,
        ),
    )
    if moved == 0:
        return False
    logs.record_server(
        work, server_id=server_id, action="halt" if is_halted else "resume", result="ok"
    )
    work.wake("servers")
    return True


def regions_of(work: UnitOfWork, *, server_ids: Iterable[int]) -> dict[int, str]:
    """Return where servers stand, by their ids."""
    rows = work.session.execute(
        select(Server.id, Server.region).where(Server.id.in_(set(server_ids)))
    )
    return {row.id: row.region for row in rows}
