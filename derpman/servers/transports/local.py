"""The way to a node on this machine: the Unix socket that it listens on."""

from __future__ import annotations

import asyncio

from derpman.servers.endpoints import Endpoint
from derpman.servers.errors import NodeError
from derpman.servers.node import NodeClient

CONNECT_SECONDS = 5.0


async def connect(endpoint: Endpoint) -> NodeClient:
    """Return a connection to the node that listens on the endpoint's socket."""
    path = endpoint.socket_path or ""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path)
    except FileNotFoundError:
        raise NodeError("server.node_down", f"there is no socket {path}") from None
    except ConnectionRefusedError:
        raise NodeError("server.node_down", f"nobody listens on {path}") from None
    except TimeoutError:
        raise NodeError("server.hangs", f"{path} does not accept") from None
    except OSError as error:
        raise NodeError("server.unreachable", f"{path}: {error.strerror}") from None
    return NodeClient(reader, writer)
