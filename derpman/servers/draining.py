"""Verbs on servers that are to become empty: drain, leave, give up. Moving is for who is above."""

from __future__ import annotations

from sqlalchemy import select, update

from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.servers import health, jobs
from derpman.servers.errors import NotDraining, ServerNotFound
from derpman.servers.models import RefusedHostKey, Server, ServerLink
from derpman.servers.rootshell import fingerprint_of
from derpman.servers.states import TRANSITIONS, JobStatus, ServerStatus

BY_HAND = "by_hand"
AT_MARGIN = "at_margin"


def drain(work: UnitOfWork, *, server_id: int, reason: str, is_moving_off: bool = False) -> Server:
    """Place nothing new on a server from now on; what it carries stays, or is to be moved off."""
    server = _present(work, server_id)
    server.draining_at = server.draining_at or work.now
    server.drain_reason = server.drain_reason or reason
    server.is_moving_off = server.is_moving_off or is_moving_off
    _record(work, server, "drain", {"reason": reason, "moves": server.is_moving_off})
    return server


def undrain(work: UnitOfWork, *, server_id: int) -> Server:
    """Let a server take relays again; it is not to be removed any more either."""
    server = _present(work, server_id)
    if server.draining_at is None or server.status is ServerStatus.GIVEN_UP:
        raise NotDraining(server_id=server_id)
    server.draining_at = server.drain_reason = server.leaving_at = server.leave_reason = None
    server.is_moving_off = server.leaves_at_once = False
    _record(work, server, "undrain", {})
    return server


def leave(work: UnitOfWork, *, server_id: int, reason: str | None, at_once: bool = False) -> Server:
    """Have a server drained, and removed when it is empty.

    `at_once`: its relays are given up as soon as the customers' next maps are made.
    """
    server = _present(work, server_id)
    next_state(TRANSITIONS, server.status, "remove")
    server.draining_at = server.draining_at or work.now
    server.drain_reason = BY_HAND
    server.is_moving_off = True
    server.leaving_at = server.leaving_at or work.now
    server.leave_reason = reason or server.leave_reason
    server.leaves_at_once = server.leaves_at_once or at_once
    _record(work, server, "leave", {"reason": reason, "at_once": at_once})
    return server


def give_up(work: UnitOfWork, *, server_id: int, reason: str) -> Server:
    """Never speak to a server again: our key for it is forgotten, its host key refused for ever."""
    server = _present(work, server_id)
    before = server.status
    server.status = next_state(TRANSITIONS, before, "give_up")
    job = jobs.newest(work, server_id)
    if job is not None and job.status in (JobStatus.QUEUED, JobStatus.RUNNING):
        jobs.close(work, job, "job.cancelled")
    if server.host_key is not None:
        fingerprint = fingerprint_of(server.host_key)
        if work.session.get(RefusedHostKey, fingerprint) is None:
            work.session.add(
                RefusedHostKey(
                    fingerprint=fingerprint, server_id=server_id, at=work.now, reason=reason
                )
            )
    server.ssh_key = server.host_key = None
    server.present_ip = None  # the address may come back with a machine that was set up anew
    server.draining_at = server.draining_at or work.now
    server.drain_reason = BY_HAND
    server.is_moving_off = True
    work.session.execute(
        update(ServerLink)
        .where(ServerLink.server_id == server_id)
        .values(leased_by=None, leased_until=None)
    )
    health.write_change(
        work, server_id, before, server.status, cause="given_up", evidence={"reason": reason}
    )
    health.resolve_alerts(work, server_id=server_id)
    _record(work, server, "give_up", {"reason": reason})
    return server


def refusal(work: UnitOfWork, *, host_key: str) -> str | None:
    """Return why a host key is never to be trusted again; None when nothing speaks against it."""
    fingerprint = fingerprint_of(host_key)
    return work.session.scalar(
        select(RefusedHostKey.reason).where(RefusedHostKey.fingerprint == fingerprint)
    )


def _present(work: UnitOfWork, server_id: int) -> Server:
    server = work.session.get(Server, server_id, populate_existing=True)
    if server is None or server.status is ServerStatus.REMOVED:
        raise ServerNotFound
    return server


def _record(work: UnitOfWork, server: Server, action: str, facts: dict[str, object]) -> None:
    server.updated_at = work.now
    work.session.flush()
    logs.record(
        work, action=f"server.{action}", object_type="server", object_id=server.id, after=facts
    )
    logs.record_server(work, server_id=server.id, action=action, result="ok", detail=facts)
    work.wake("servers")
    work.wake("live")
