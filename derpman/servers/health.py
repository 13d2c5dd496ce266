"""Verbs on servers' health: what probes found, as states with a history.

They are run by the worker that holds the server (`leases`), which alone probes it; what the other
servers see of it reaches that worker as votes, through the database, whoever holds those.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update

from derpman.alerts import service as alerts
from derpman.alerts.models import Severity
from derpman.kit.db import Merge, changed, upsert
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.servers import leases
from derpman.servers.models import (
    ProbeVote,
    Server,
    ServerHealth,
    ServerHealthChange,
    ServerLink,
    Transport,
)
from derpman.servers.states import IN_TOUCH, TRANSITIONS, ServerStatus

NO_CONTACT = "no_contact"
RELAYS_UNREACHABLE = "relays_unreachable"
ALERTS = {NO_CONTACT: "server_unreachable", RELAYS_UNREACHABLE: "relays_unreachable"}
FIRST_SETTLE = timedelta(seconds=10)
LONGEST_SETTLE = timedelta(minutes=15)
"""A server that came back is healthy after ten seconds, twice as long after each loss more."""
LOSSES_COUNT = timedelta(hours=1)
"""Losses further apart than this are not one story."""
VOTE_LIVES = timedelta(seconds=4)
OLD_LOSS = timedelta(hours=1)
"""A server lost longer ago says nothing any more of whether it is the panel that is cut off."""


@dataclass(frozen=True)
class Patient:
    """A server as whoever probes it must know it."""

    id: int
    status: ServerStatus
    region: str
    address: str
    transport: Transport
    ssh_ip: str
    ssh_port: int
    settles_at: datetime | None


def patients(work: UnitOfWork) -> dict[int, Patient]:
    """Return every server that has a link, by its id."""
    rows = work.session.execute(
        select(
            Server.id,
            Server.status,
            Server.region,
            Server.public_ip,
            Server.transport,
            Server.ip,
            Server.ssh_port,
            ServerHealth.settles_at,
        )
        .outerjoin(ServerHealth, ServerHealth.server_id == Server.id)
        .where(Server.status.in_(IN_TOUCH))
        .order_by(Server.id)
    )
    return {row[0]: Patient(*row) for row in rows}


def change(
    work: UnitOfWork,
    worker: str,
    server_id: int,
    action: str,
    cause: str | None,
    evidence: Mapping[str, Any],
) -> ServerStatus | None:
    """Do what probes found to a server's state; return the new one.

    None when the state does not allow it any more, because somebody else was here meanwhile.
    LeaseLost when the server is not the worker's.
    """
    leases.prove(work, worker, server_id)
    server = work.session.get(Server, server_id, populate_existing=True)
    if server is None or (server.status, action) not in TRANSITIONS:
        return None
    before, after = server.status, next_state(TRANSITIONS, server.status, action)
    done = changed(
        work.session,
        update(Server)
        .where(Server.id == server_id, Server.status == before)
        .values(status=after, updated_at=work.now)
        .execution_options(synchronize_session=False),
    )
    if not done:
        return None
    health = _remember(work, server_id, after, cause)
    write_change(work, server_id, before, after, cause=health.cause, evidence=evidence)
    _tell(work, server, after, health, evidence)
    work.wake("live")
    return after


def write_change(
    work: UnitOfWork,
    server_id: int,
    before: ServerStatus,
    after: ServerStatus,
    *,
    cause: str | None,
    evidence: Mapping[str, Any],
) -> None:
    """Add a line to the history of a server's states."""
    work.session.add(
        ServerHealthChange(
            server_id=server_id,
            at=work.now,
            before=before,
            after=after,
            cause=cause,
            evidence=json.dumps(evidence, separators=(",", ":"), default=str),
        )
    )


def _remember(
    work: UnitOfWork, server_id: int, after: ServerStatus, cause: str | None
) -> ServerHealth:
    health = work.session.get(ServerHealth, server_id, populate_existing=True)
    if health is None:
        health = ServerHealth(server_id=server_id, since=work.now, losses=0)
        work.session.add(health)
    health.since = work.now
    health.settles_at = None
    if after in (ServerStatus.UNHEALTHY, ServerStatus.DEAD):
        # from unhealthy to dead is one loss
        if health.lost_at is None or health.lost_at < work.now - LOSSES_COUNT:
            health.losses = 1
        elif health.cause is None:
            health.losses += 1
        health.lost_at = work.now
        health.cause = cause or health.cause
    elif after is ServerStatus.RECOVERING:
        settle = min(FIRST_SETTLE * 2 ** min(max(0, health.losses - 1), 10), LONGEST_SETTLE)
        health.settles_at = work.now + settle
        health.cause = None
    elif after is ServerStatus.HEALTHY:
        health.cause = None
    work.session.flush()
    return health


def _tell(
    work: UnitOfWork,
    server: Server,
    after: ServerStatus,
    health: ServerHealth,
    evidence: Mapping[str, Any],
) -> None:
    key = str(server.id)
    if after is ServerStatus.UNHEALTHY:
        alerts.resolve_alert(work, alert_type="server_dead", object_key=key)
    if after in (ServerStatus.UNHEALTHY, ServerStatus.DEAD):
        link = work.session.get(ServerLink, server.id)
        facts = {
            "server_id": server.id,
            "ip": server.ip,
            "region": server.region,
            "error": (link.error if link else None) or health.cause,
        }
        alerts.raise_alert(
            work,
            alert_type=ALERTS.get(health.cause or NO_CONTACT, ALERTS[NO_CONTACT]),
            severity=Severity.CRITICAL,
            object_key=key,
            params=facts,
        )
        if after is ServerStatus.DEAD:
            alerts.raise_alert(
                work,
                alert_type="server_dead",
                severity=Severity.CRITICAL,
                object_key=key,
                params={**facts, "observers": len(evidence.get("observers", ()))},
            )
        logs.record_server(
            work,
            server_id=server.id,
            action="lose" if after is ServerStatus.UNHEALTHY else "condemn",
            result="failed",
            detail={"cause": health.cause, "error": facts["error"], **evidence},
        )
    elif after is ServerStatus.HEALTHY:
        if resolve_alerts(work, server_id=server.id):
            logs.record_server(work, server_id=server.id, action="recover", result="ok")
    elif after is ServerStatus.RECOVERING:
        work.session.execute(delete(ProbeVote).where(ProbeVote.target_id == server.id))


def resolve_alerts(work: UnitOfWork, *, server_id: int) -> bool:
    """End the alerts that say a server is lost; False when there were none."""
    kinds = (*ALERTS.values(), "server_dead")
    key = str(server_id)
    ended = {kind: alerts.resolve_alert(work, alert_type=kind, object_key=key) for kind in kinds}
    return any(ended.values())


def of(work: UnitOfWork, *, server_id: int) -> ServerHealth | None:
    """Return what is known of a server's health; None while it was never missed."""
    return work.session.get(ServerHealth, server_id)


def vote(work: UnitOfWork, votes: Iterable[tuple[int, int, int]]) -> None:
    """Write down what servers see of others: target, observer, misses in a row."""
    rows = [(target, observer, misses, work.now) for target, observer, misses in votes]
    if rows:
        columns = {"misses": Merge.PUT, "at": Merge.PUT}
        upsert(work.session, ProbeVote, ("target_id", "observer_id"), columns, rows)


def votes_on(work: UnitOfWork, server_ids: Sequence[int]) -> dict[int, dict[int, int]]:
    """Return the fresh votes on servers: by target, observer to misses in a row."""
    rows = work.session.execute(
        select(ProbeVote.target_id, ProbeVote.observer_id, ProbeVote.misses).where(
            ProbeVote.target_id.in_(server_ids), ProbeVote.at > work.now - VOTE_LIVES
        )
    )
    found: dict[int, dict[int, int]] = {}
    for target_id, observer_id, misses in rows:
        found.setdefault(target_id, {})[observer_id] = misses
    return found


@dataclass(frozen=True)
class Reach:
    """How many of the servers the panel reaches, to tell a dead server from a cut-off panel."""

    servers: int
    lost: int

    @property
    def is_cut_off(self) -> bool:
        return self.lost >= 2 and self.lost * 2 > self.servers


def reach(work: UnitOfWork) -> Reach:
    """Return how many servers there are and how many were lost lately, as the panel sees it."""
    rows = work.session.execute(
        select(Server.status, ServerHealth.since)
        .outerjoin(ServerHealth, ServerHealth.server_id == Server.id)
        .where(Server.status.in_(IN_TOUCH))
    ).all()
    missed = (ServerStatus.SUSPECT, ServerStatus.UNHEALTHY, ServerStatus.DEAD)
    old = [row for row in rows if row.status in missed and _is_old(row.since, work.now)]
    lost = [row for row in rows if row.status in missed and not _is_old(row.since, work.now)]
    return Reach(len(rows) - len(old), len(lost))


def _is_old(since: datetime | None, now: datetime) -> bool:
    return since is not None and since < now - OLD_LOSS
