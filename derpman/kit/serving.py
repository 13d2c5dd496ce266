"""One API process that can be replaced without a failed request.

Told to end, it takes no new connections, answers those it has, and goes. Where systemd holds the
listening socket (`LISTEN_FDS`), new ones wait there for the next process.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

import uvicorn

LINGER_SECONDS = 0.5
"""So long a connection may take to bring its request after it was taken."""
LONGEST_ANSWER_SECONDS = 20
FIRST_FD = 3  # sd_listen_fds(3)


def handed_over() -> list[socket.socket]:
    """Return the listening sockets that systemd holds for this process; none without it."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return [socket.socket(fileno=FIRST_FD + number) for number in range(count)]


class GentleServer(uvicorn.Server):
    """Stops to listen, waits for requests on their way, ends streams, answers, and ends."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        await asyncio.sleep(LINGER_SECONDS)
        await self._end_streams()
        await super().shutdown(sockets)
