"""Which worker holds which server, and what it writes down of it.

Every verb that writes for a worker first proves, in the same transaction, that the worker still
holds the server. So a worker that stalled and comes back cannot write over its successor, and
what a snapshot says is recorded exactly once, together with the cursor that moves past it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, or_, select, update

from derpman.kit.db import changed
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.servers.errors import LeaseLost
from derpman.servers.models import Server, ServerLink
from derpman.servers.protocol import Hello
from derpman.servers.states import IN_TOUCH

LEASE = timedelta(seconds=15)
LOAD_STEP = 0.05
"""A server's load is written when it moved by this much: its row is a busy one."""

Observe = Callable[[UnitOfWork, int, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Look:
    """What a worker's glance at the database found."""

    behind: list[int]
    """Held servers whose node has not confirmed the newest desired state."""
    has_free: bool
    """There are servers that nobody holds."""


def look(work: UnitOfWork, worker: str) -> Look:
    """Return what a worker has to do now. Reads only."""
    behind = work.session.scalars(
        select(Server.id)
        .join(ServerLink, ServerLink.server_id == Server.id)
        .where(
            ServerLink.leased_by == worker,
            Server.desired_generation != ServerLink.applied_generation,
        )
    )
    free = work.session.scalar(_free(work).limit(1))
    return Look(list(behind), free is not None)


def _free(work: UnitOfWork) -> Select[int]:
    return (
        select(Server.id)
        .join(ServerLink, ServerLink.server_id == Server.id)
        .where(
            Server.status.in_(IN_TOUCH),
            or_(ServerLink.leased_until.is_(None), ServerLink.leased_until < work.now),
        )
    )


def renew(work: UnitOfWork, worker: str, most: int) -> set[int]:
    """Keep what the worker holds, take up to `most` servers that nobody holds; return all of it."""
    until = work.now + LEASE
    work.session.execute(
        update(ServerLink)
        .where(ServerLink.leased_by == worker, ServerLink.leased_until >= work.now)
        .values(leased_until=until)
    )
    for server_id in work.session.scalars(_free(work).order_by(Server.id).limit(most)).all():
        work.session.execute(
            update(ServerLink)
            .where(
                ServerLink.server_id == server_id,
                or_(ServerLink.leased_until.is_(None), ServerLink.leased_until < work.now),
            )
            .values(leased_by=worker, leased_until=until)
        )
    held = work.session.scalars(
        select(ServerLink.server_id)
        .join(Server, Server.id == ServerLink.server_id)
        .where(
            ServerLink.leased_by == worker,
            ServerLink.leased_until == until,
            Server.status.in_(IN_TOUCH),
        )
    )
    return set(held)


def hand_back(work: UnitOfWork, worker: str) -> None:
    """Let go of everything a worker holds, so that the next one need not wait."""
    work.session.execute(
        update(ServerLink)
        .where(ServerLink.leased_by == worker)
        .values(leased_by=None, leased_until=None)
    )
    work.wake("servers")


def _write(work: UnitOfWork, worker: str, server_id: int, **values: object) -> None:
    """Write into a link's row; LeaseLost when somebody else holds the server by now."""
    written = changed(
        work.session,
        update(ServerLink)
        .where(
            ServerLink.server_id == server_id,
            ServerLink.leased_by == worker,
            ServerLink.leased_until >= work.now,
        )
        .values(**values),
    )
    if written == 0:
        raise LeaseLost(server_id)


def prove(work: UnitOfWork, worker: str, server_id: int) -> None:
    """Make sure that the worker holds the server, until the transaction ends; or LeaseLost."""
    _write(work, worker, server_id, leased_by=worker)


def record_hello(work: UnitOfWork, worker: str, server_id: int, hello: Hello) -> ServerLink:
    """Write down who answered; return the row, with the cursor to go on from."""
    _write(
        work,
        worker,
        server_id,
        contact_at=work.now,
        error=None,
        error_detail=None,
        node_version=hello.version,
        runtime=hello.runtime,
        relay_label=hello.relay_label,
    )
    link = work.session.get(ServerLink, server_id, populate_existing=True)
    if link is None:
        raise LeaseLost(server_id)
    return link


def record_label(work: UnitOfWork, worker: str, server_id: int, label: str) -> None:
    """Write down which relay image the node has now."""
    _write(work, worker, server_id, relay_label=label)
    logs.record_server(
        work, server_id=server_id, action="send_image", result="ok", detail={"label": label}
    )


def record_applied(work: UnitOfWork, worker: str, server_id: int, generation: int) -> None:
    """Write down which generation of the desired state the node confirmed."""
    _write(work, worker, server_id, applied_generation=generation, contact_at=work.now)


def overtake(work: UnitOfWork, worker: str, server_id: int, node_generation: int) -> bool:
    """Count the desired generation past the node's, when the database is behind it.

    That happens when a database was restored from a copy, or a server was added again. False
    when the database is ahead after all: another worker's news was overtaken by ours.
    """
    _write(work, worker, server_id, contact_at=work.now)
    moved = changed(
        work.session,
        update(Server)
        .where(Server.id == server_id, Server.desired_generation <= node_generation)
        .values(desired_generation=node_generation + 1),
    )
    if moved == 0:
        return False
    logs.record_server(
        work,
        server_id=server_id,
        action="overtake_generation",
        result="ok",
        detail={"node_generation": node_generation},
    )
    return True


def record_snapshot(
    work: UnitOfWork,
    worker: str,
    server_id: int,
    snapshot: Mapping[str, Any],
    observe: Observe,
) -> None:
    """Write down one observed state, whole or in part, together with its cursor."""
    host: dict[str, Any] = snapshot.get("host") or {}
    values: dict[str, object] = {"contact_at": work.now, "cursor": snapshot["cursor"]}
    if snapshot["whole"]:
        rate = sum(relay.get("rate_bytes_per_second", 0) for relay in snapshot["relays"])
        figures = {**host, "rate_bytes_per_second": rate}
        values["host"] = json.dumps(figures, separators=(",", ":"))
        values["rates"] = json.dumps(
            {
                relay["id"]: relay["rate_bytes_per_second"]
                for relay in snapshot["relays"]
                if relay.get("rate_bytes_per_second")
            },
            separators=(",", ":"),
        )
    _write(work, worker, server_id, **values)
    observe(work, server_id, snapshot)
    if snapshot["whole"]:  # afterwards: the server's row comes late in the order of locks
        load = round(float(host.get("cpu_fraction", 0.0)), 2)
        work.session.execute(
            update(Server)
            .where(
                Server.id == server_id,
                or_(Server.load < load - LOAD_STEP, Server.load > load + LOAD_STEP),
            )
            .values(load=load)
        )


def record_trouble(work: UnitOfWork, worker: str, server_id: int, code: str, detail: str) -> None:
    """Write down why there is no contact, or what the node refuses."""
    _write(work, worker, server_id, error=code, error_detail=detail or None)
