"""What an operator does with servers: adds, changes, checks and removes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlalchemy import or_, select, update

from derpman.kit.db import changed
from derpman.kit.lazy import Lazy
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.servers import draining, health, jobs
from derpman.servers.errors import (
    AlreadyAdded,
    ChangedMeanwhile,
    HasRelays,
    HostKeyRefused,
    JobRunning,
    NothingToCleanUp,
    PortRangeInvalid,
    ServerNotFound,
)
from derpman.servers.events import ServerJobQueued
from derpman.servers.models import Server, ServerJob, ServerLink, Transport
from derpman.servers.rootshell import Credential
from derpman.servers.states import TRANSITIONS, JobStatus, ServerStatus

if TYPE_CHECKING:
    import asyncssh
else:
    asyncssh = Lazy("asyncssh")

PORT_FROM, PORT_TO = 20000, 29999
"""Below the ports that systems give to outgoing connections (32768 and up on Linux)."""
EDITABLE = (
    "region",
    "account_phone",
    "registered_place",
    "monthly_allowance_bytes",
    "billing_day",
    "margin_percent",
    "at_margin",
    "port_from",
    "port_to",
    "capacity",
    "ssh_port",
)


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


def add(
    work: UnitOfWork,
    *,
    ip: str,
    region: str,
    transport: Transport = Transport.SSH,
    credential: Credential | None = None,
    fingerprint: str | None = None,
    waits: bool = False,
    public_ip: str | None = None,
    socket_path: str | None = None,
    ssh_port: int = 22,
    account_phone: str | None = None,
    registered_place: str | None = None,
    monthly_allowance_bytes: int | None = None,
    port_from: int = PORT_FROM,
    port_to: int = PORT_TO,
    capacity: int = 0,
) -> tuple[Server, ServerJob]:
    """Record a server and the job that sets it up; a capacity of 0 is proposed by that job.

    Without a credential the job waits until the operator's script has run there. `waits` leaves
    a job with a credential to the caller, who runs it himself.
    """
    if work.session.scalar(select(Server.id).where(Server.present_ip == ip)) is not None:
        raise AlreadyAdded(ip=ip)
    _check_ports(port_from, port_to)
    server = Server(
        ip=ip,
        present_ip=ip,
        public_ip=public_ip or ip,
        region=region,
        status=ServerStatus.ADDING,
        transport=transport,
        socket_path=socket_path,
        ssh_port=ssh_port,
        account_phone=account_phone,
        registered_place=registered_place,
        monthly_allowance_bytes=monthly_allowance_bytes,
        port_from=port_from,
        port_to=port_to,
        capacity=capacity,
        created_at=work.now,
        updated_at=work.now,
    )
    if transport is Transport.SSH:
        key = asyncssh.generate_private_key("ssh-ed25519", comment="derpman")
        server.ssh_key = work.vault.seal(key.export_private_key().decode())
    work.session.add(server)
    work.session.flush()
    work.session.add(ServerLink(server_id=server.id))
    by_script = transport is Transport.SSH and credential is None
    job = jobs.queue(
        work,
        server_id=server.id,
        kind="add",
        credential=credential,
        fingerprint=fingerprint,
        waits=waits or by_script,
    )
    logs.record(
        work,
        action="server.add",
        object_type="server",
        object_id=server.id,
        after={"ip": ip, "region": region, "transport": transport, **_editable(server)},
    )
    return server, job


def retry(
    work: UnitOfWork,
    *,
    server_id: int,
    credential: Credential | None = None,
    fingerprint: str | None = None,
    waits: bool = False,
) -> ServerJob:
    """Set a server up again that could not be added, or that lost what was set up.

    Without a credential its node must answer. Another host key is taken only by its fingerprint.
    """
    server = _present(work, server_id)
    job = jobs.newest(work, server_id)
    if job is not None and job.status is JobStatus.QUEUED and job.leased_by is None:
        jobs.close(work, job, "job.replaced")  # it waits for a script that may never run
    server.status = next_state(TRANSITIONS, server.status, "retry")
    server.updated_at = work.now
    logs.record(work, action="server.retry", object_type="server", object_id=server_id)
    return jobs.queue(
        work,
        server_id=server_id,
        kind="add",
        credential=credential,
        fingerprint=fingerprint,
        waits=waits,
    )


def check(work: UnitOfWork, *, server_id: int, waits: bool = False) -> ServerJob:
    """Have a server looked at: who answers, its ports from outside, its clock, its distance."""
    server = _present(work, server_id)
    next_state(TRANSITIONS, server.status, "check")
    return jobs.queue(work, server_id=server_id, kind="check", waits=waits)


def report_script(work: UnitOfWork, *, server_id: int, host_key: str) -> None:
    """Hear from the operator's script that it has run, and start the job that waits for it."""
    if draining.refusal(work, host_key=host_key) is not None:
        raise HostKeyRefused
    server = _present(work, server_id)
    job = jobs.newest(work, server_id)
    if job is None or job.status is not JobStatus.QUEUED or server.host_key is not None:
        return  # it has been heard before
    server.host_key = host_key
    server.updated_at = work.now
    work.emit(ServerJobQueued(job_id=job.id))


def change(
    work: UnitOfWork, *, server_id: int, values: Mapping[str, object], version: int | None = None
) -> Server:
    """Change a server's own fields (see EDITABLE); relays that are there stay as they are."""
    server = _present(work, server_id)
    if version is not None and server.version != version:
        raise ChangedMeanwhile
    before = _editable(server)
    for name in EDITABLE:
        if name in values:
            setattr(server, name, values[name])
    _check_ports(server.port_from, server.port_to)
    server.updated_at = work.now
    after = _editable(server)
    changed_names = [name for name in EDITABLE if before[name] != after[name]]
    logs.record(
        work,
        action="server.update",
        object_type="server",
        object_id=server_id,
        before={name: before[name] for name in changed_names},
        after={name: after[name] for name in changed_names},
    )
    return server


def remove(
    work: UnitOfWork, *, server_id: int, reason: str | None = None, waits: bool = False
) -> ServerJob:
    """Remove a server that carries no relays; what is on it is cleaned up by a job."""
    server = _present(work, server_id)
    job = jobs.newest(work, server_id)
    if job is not None and job.status is JobStatus.RUNNING:
        raise JobRunning(job_id=job.id)
    status = next_state(TRANSITIONS, server.status, "remove")
    if job is not None and job.status is JobStatus.QUEUED:
        jobs.close(work, job, "job.cancelled")
        work.session.flush()
    gone = changed(
        work.session,
        update(Server)
        .where(Server.id == server_id, Server.relay_count == 0)
        .values(status=status, present_ip=None, updated_at=work.now),
    )
    if gone == 0:
        raise HasRelays(relays=server.relay_count)
    logs.record(
        work,
        action="server.remove",
        object_type="server",
        object_id=server_id,
        before={"ip": server.ip, "region": server.region},
        after={"reason": reason},
    )
    health.resolve_alerts(work, server_id=server_id)
    work.wake("servers")
    return jobs.queue(work, server_id=server_id, kind="remove", waits=waits)


def clean_up(work: UnitOfWork, *, server_id: int, waits: bool = False) -> ServerJob:
    """Try once more to clean up on a removed server that could not be reached then."""
    server = work.session.get(Server, server_id, populate_existing=True)
    if server is None:
        raise ServerNotFound
    next_state(TRANSITIONS, server.status, "clean_up")
    job = jobs.newest(work, server_id)
    is_left = job is not None and job.kind == "remove" and job.status is not JobStatus.DONE
    if not is_left or not _can_be_entered(work, server_id):
        raise NothingToCleanUp
    logs.record(work, action="server.clean_up", object_type="server", object_id=server_id)
    return jobs.queue(work, server_id=server_id, kind="remove", waits=waits)


def _can_be_entered(work: UnitOfWork, server_id: int) -> bool:
    """Tell whether we still hold what is needed to speak to a server's node."""
    found = select(Server.id).where(
        Server.id == server_id,
        or_(Server.ssh_key.is_not(None), Server.transport != Transport.SSH),
    )
    return work.session.scalar(found) is not None


def remove_emptied(work: UnitOfWork, *, server_id: int) -> None:
    """Remove a server that was to leave and carries nothing any more; nothing when it does."""
    server = _present(work, server_id)
    if server.leaving_at is None or server.relay_count > 0:
        return
    job = jobs.newest(work, server_id)
    if job is None or job.status is not JobStatus.RUNNING:  # else at the next look
        remove(work, server_id=server_id, reason=server.leave_reason)


def _present(work: UnitOfWork, server_id: int) -> Server:
    server = work.session.get(Server, server_id, populate_existing=True)
    if server is None or server.status is ServerStatus.REMOVED:
        raise ServerNotFound
    return server


def _check_ports(port_from: int, port_to: int) -> None:
    if port_from > port_to:
        raise PortRangeInvalid(port_from=port_from, port_to=port_to)


def _editable(server: Server) -> dict[str, object]:
    return {name: getattr(server, name) for name in EDITABLE}
