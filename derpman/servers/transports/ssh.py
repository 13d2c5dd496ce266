"""The way to a node over SSH: our key may speak the node protocol there and do nothing else."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from derpman.kit.lazy import Lazy
from derpman.servers.endpoints import Endpoint
from derpman.servers.errors import NodeError
from derpman.servers.node import NodeClient

if TYPE_CHECKING:
    import asyncssh
else:
    asyncssh = Lazy("asyncssh")

USER = "derpman"
CONNECT_SECONDS = 5.0
LOGIN_SECONDS = 10.0
KEEPALIVE_SECONDS = 5.0
KEEPALIVE_MISSES = 3
EXIT_SECONDS = 2.0


async def connect(endpoint: Endpoint) -> NodeClient:
    """Return a connection to the server's node over SSH."""
    if not endpoint.host_key or not endpoint.ssh_key:
        raise NodeError("server.not_set_up", "no host key is pinned yet")
    connection = await log_in(
        endpoint.ip,
        endpoint.ssh_port,
        username=USER,
        host_key=endpoint.host_key,
        client_key=asyncssh.import_private_key(endpoint.ssh_key),
    )
    try:
        async with asyncio.timeout(LOGIN_SECONDS):
            process = await connection.create_process("stdio", encoding=None)
    except (TimeoutError, OSError, asyncssh.Error) as error:
        connection.abort()
        raise _classify(error, "opening a session") from None
    except BaseException:  # cancelled: nobody else knows the connection
        connection.abort()
        raise

    async def explain() -> NodeError:
        try:
            async with asyncio.timeout(EXIT_SECONDS):
                said = (await process.stderr.read(2000)).decode(errors="replace").strip()
                await process.wait_closed()
        except (TimeoutError, OSError, asyncssh.Error):
            return NodeError("server.connection_lost", "the SSH connection ended")
        if process.exit_status == 127 or "not found" in said:
            return NodeError("server.node_missing", said)
        if process.exit_status is None:
            return NodeError("server.connection_lost", said or "the SSH connection ended")
        return NodeError("server.node_down", said or f"exit status {process.exit_status}")

    async def close() -> None:
        connection.abort()
        await connection.wait_closed()

    return NodeClient(_Reader(process.stdout), process.stdin, explain=explain, on_close=close)


async def log_in(
    host: str,
    port: int,
    *,
    username: str,
    host_key: str,
    client_key: asyncssh.SSHKey | None = None,
    password: str | None = None,
) -> asyncssh.SSHClientConnection:
    """Log in where the pinned host key answers; NodeError with a code that says what is wrong.

    Nothing of this machine's own SSH set-up takes part: no configuration, agent or known hosts.
    """
    pinned = asyncssh.import_public_key(host_key)
    sock = await open_socket(host, port)
    try:
        async with asyncio.timeout(LOGIN_SECONDS):
            return await asyncssh.connect(
                host,
                sock=sock,
                config=None,
                username=username,
                known_hosts=([pinned], [], []),
                client_keys=[client_key] if client_key else None,
                password=password,
                preferred_auth="publickey" if client_key else "password,keyboard-interactive",
                agent_path=None,
                agent_forwarding=False,
                gss_host=None,
                keepalive_interval=KEEPALIVE_SECONDS,
                keepalive_count_max=KEEPALIVE_MISSES,
            )
    except (TimeoutError, OSError, asyncssh.Error) as error:
        sock.close()
        raise _classify(error, "logging in") from None
    except BaseException:
        sock.close()
        raise


async def open_socket(host: str, port: int) -> socket.socket:
    """Return a TCP connection, so that a server that refuses is told from one that hangs."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await loop.sock_connect(sock, (host, port))
    except ConnectionRefusedError:
        sock.close()
        raise NodeError("server.refused", f"port {port} is closed") from None
    except (TimeoutError, OSError) as error:
        sock.close()
        reason = os.strerror(error.errno) if error.errno else "no answer"
        raise NodeError("server.unreachable", f"port {port}: {reason}") from None
    except BaseException:
        sock.close()
        raise
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class _Reader:
    """Turns what asyncssh raises when a connection breaks into what our client expects."""

    def __init__(self, reader: asyncssh.SSHReader[bytes]) -> None:
        self._reader = reader

    async def read(self, n: int = -1, /) -> bytes:
        try:
            return await self._reader.read(n)
        except asyncssh.Error as error:
            raise ConnectionError(error.reason) from None


def _classify(error: Exception, doing: str) -> NodeError:
    match error:
        case asyncssh.HostKeyNotVerifiable():
            return NodeError("server.host_key_changed")
        case asyncssh.PermissionDenied():
            return NodeError("server.auth_failed")
        case asyncssh.KeyExchangeFailed() if "host key" in error.reason.lower():
            return NodeError("server.host_key_changed", error.reason)
        case TimeoutError():
            return NodeError("server.hangs", f"no answer while {doing}")
        case asyncssh.ChannelOpenError():
            return NodeError("server.session_refused", error.reason)
        case asyncssh.Error():
            return NodeError("server.ssh_failed", error.reason)
        case _:
            return NodeError("server.connection_lost", f"while {doing}: {error}")
