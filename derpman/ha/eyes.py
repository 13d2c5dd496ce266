"""What the panel itself sees of a relay from outside: TCP, TLS with its pin, STUN.

The STUN request is as `net/stun/stun.go` of tailscale.com 1.102.5 demands: SOFTWARE `tailnode`,
and a FINGERPRINT at the end; a relay meets any other with silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import ssl
import struct
import time
import zlib

COOKIE = b"\x21\x12\xa4\x42"
SOFTWARE, FINGERPRINT, MAGIC = 0x8022, 0x8028, 0x5354554E
HEAD = 20


def stun_request(transaction: bytes) -> bytes:
    """Return a binding request in Tailscale's form."""
    software = struct.pack(">HH", SOFTWARE, 8) + b"tailnode"
    message = b"\x00\x01" + struct.pack(">H", len(software) + 8) + COOKIE + transaction + software
    return message + struct.pack(">HHI", FINGERPRINT, 4, zlib.crc32(message) ^ MAGIC)


def is_stun_answer(data: bytes, transaction: bytes) -> bool:
    """Tell whether this is the success response to our request."""
    return len(data) >= HEAD and data[:2] == b"\x01\x01" and data[8:20] == transaction


async def tcp_ms(address: str, port: int, seconds: float) -> float | None:
    """Return how long a TCP connection takes, in milliseconds; None when there is none."""
    began = time.monotonic()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address, port)
        took = time.monotonic() - began
        writer.transport.abort()
        return took * 1000
    return None


async def tls_ms(address: str, port: int, pin: str, seconds: float) -> float | None:
    """Return how long TLS takes, in milliseconds; None without TLS or with another certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the pin is compared instead
    began = time.monotonic()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address, port, ssl=context)
        took = time.monotonic() - began
        tls = writer.get_extra_info("ssl_object")
        shown = hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest()
        writer.transport.abort()
        return took * 1000 if shown == pin else None
    return None


async def stun_ms(address: str, port: int, seconds: float) -> float | None:
    """Return how long a STUN answer takes, in milliseconds; asked twice, None without one."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    transaction = os.urandom(12)
    with socket.socket(family, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.setblocking(False)
        await loop.sock_connect(sock, (address, port))
        for _ in range(2):  # one lost datagram is no news
            began = time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds / 2):
                    await loop.sock_sendall(sock, stun_request(transaction))
                    while not is_stun_answer(await loop.sock_recv(sock, 1500), transaction):
                        pass
                    return (time.monotonic() - began) * 1000
    return None
