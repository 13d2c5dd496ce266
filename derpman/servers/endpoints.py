"""How one server's node is reached: read from its row, for whoever opens a connection."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy.orm import undefer

from derpman.kit.work import UnitOfWork
from derpman.servers.errors import NodeError
from derpman.servers.models import Server, Transport


@dataclass(frozen=True)
class Endpoint:
    """What a transport needs to know of a server."""

    server_id: int
    transport: Transport
    ip: str
    ssh_port: int = 22
    host_key: str | None = None
    ssh_key: str | None = field(default=None, repr=False)
    """Our private key for this server, readable: never log it."""
    socket_path: str | None = None


def endpoint(work: UnitOfWork, server_id: int) -> Endpoint:
    """Return how a server's node is reached; NodeError when there is no such server any more."""
    server = work.session.get(Server, server_id, options=[undefer(Server.ssh_key)])
    if server is None:
        raise NodeError("server.not_there")
    return Endpoint(
        server_id=server.id,
        transport=server.transport,
        ip=server.ip,
        ssh_port=server.ssh_port,
        host_key=server.host_key,
        ssh_key=work.vault.open(server.ssh_key) if server.ssh_key else None,
        socket_path=server.socket_path,
    )
