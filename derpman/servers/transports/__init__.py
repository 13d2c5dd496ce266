"""Ways to a node: SSH to its forced command, its own socket on this machine, or a fake."""

from __future__ import annotations

from derpman.servers.endpoints import Endpoint
from derpman.servers.models import Transport
from derpman.servers.node import NodeClient
from derpman.servers.transports import fake, local, ssh


async def connect(endpoint: Endpoint) -> NodeClient:
    """Return a connection to a server's node; NodeError with a code that says what is wrong."""
    match endpoint.transport:
        case Transport.SSH:
            return await ssh.connect(endpoint)
        case Transport.LOCAL:
            return await local.connect(endpoint)
        case Transport.FAKE:
            return await fake.connect(endpoint)
