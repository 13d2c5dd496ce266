"""Whether a server's ports can be reached from outside, by TCP and UDP: seen by whom."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from derpman.servers.errors import NodeError
from derpman.servers.node import NodeClient

SAMPLE = 8
LISTEN_SECONDS = 60
TRY_SECONDS = 3.0
UDP_TRIES = 3


@dataclass
class Seen:
    """Which ports some observer reached."""

    ports: list[int]
    tcp: set[int] = field(default_factory=set[int])
    udp: set[int] = field(default_factory=set[int])
    observers: list[str] = field(default_factory=list[str])

    @property
    def closed_tcp(self) -> list[int]:
        return [port for port in self.ports if port not in self.tcp]

    @property
    def closed_udp(self) -> list[int]:
        return [port for port in self.ports if port not in self.udp]


def sample(port_from: int, port_to: int, most: int = SAMPLE) -> list[int]:
    """Return ports spread over a range, both ends among them."""
    span = port_to - port_from
    count = min(most, span + 1)
    if count == 1:
        return [port_from]
    return [port_from + span * place // (count - 1) for place in range(count)]


async def open_ports(node: NodeClient, ports: Sequence[int], token: str) -> list[int]:
    """Have the node echo on those of `ports` that are free there; return which they are."""
    opened: list[int] = []
    for port in ports:
        try:
            await node.listen([port], token, seconds=LISTEN_SECONDS)
        except NodeError as error:
            if error.code != "listen.port_in_use":
                raise
        else:
            opened.append(port)
    return opened


def new_token() -> str:
    return secrets.token_hex(16)


async def look_from_here(address: str, ports: Sequence[int], token: str) -> Seen:
    """Try the echoes from the panel."""
    seen = Seen(list(ports), observers=["panel"])
    tcp = asyncio.gather(*(_tcp(address, port, token) for port in ports))
    udp = asyncio.gather(*(_udp(address, port, token) for port in ports))
    for port, by_tcp, by_udp in zip(ports, await tcp, await udp, strict=True):
        if by_tcp:
            seen.tcp.add(port)
        if by_udp:
            seen.udp.add(port)
    return seen


async def look_from(
    node: NodeClient, name: str, address: str, ports: Sequence[int], token: str
) -> Seen:
    """Have another server's node try the echoes."""
    targets = [{"address": address, "port": port, "token": token} for port in ports]
    seen = Seen(list(ports), observers=[name])
    for result in await node.probe(targets, timeout_ms=int(TRY_SECONDS * 1000)):
        if result.token_tcp:
            seen.tcp.add(result.port)
        if result.token_udp:
            seen.udp.add(result.port)
    return seen


async def _tcp(address: str, port: int, token: str) -> bool:
    line = token.encode() + b"\n"
    with contextlib.suppress(OSError, TimeoutError, ValueError):
        async with asyncio.timeout(TRY_SECONDS):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(line)
                return await reader.readline() == line
            finally:
                writer.close()
    return False


async def _udp(address: str, port: int, token: str) -> bool:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            await loop.sock_connect(sock, (address, port))
            for _ in range(UDP_TRIES):
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(TRY_SECONDS / UDP_TRIES):
                        await loop.sock_sendall(sock, token.encode())
                        if await loop.sock_recv(sock, 256) == token.encode():
                            return True
    return False
