"""A world of its own for outgoing requests: every address is here, and every call is seen.

In a network namespace that has nothing but loopback, every IPv4 and IPv6 address is made local.
What then tries to connect anywhere sends its first packet over loopback, where it is seen, whether
or not somebody listens.
"""

from __future__ import annotations

import collections
import contextlib
import http.server
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.system.processes import run

ETH_P_ALL = 0x0003
SYN_ONLY = 0x02
"""The flags of a connection's first packet, among SYN, ACK, FIN and RST."""
A, AAAA = 1, 28
Place = tuple[str, int]
"""An address and a port of TCP."""


def own_every_address() -> None:
    """Make every address one of this machine; call it in a network namespace of its own."""
    run(["ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo"])
    run(["ip", "-6", "route", "add", "local", "::/0", "dev", "lo"])


class Listener:
    """Hears what comes to its socket, in a thread, until it is left."""

    _socket: socket.socket

    def __enter__(self) -> Self:
        self._socket.settimeout(0.2)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(5)
        self._socket.close()

    def _run(self) -> None:
        while not self._ends.is_set():
            with contextlib.suppress(TimeoutError):
                self._hear()

    def _hear(self) -> None:
        raise NotImplementedError


class Watch(Listener):
    """Notes where connections were begun to, in order."""

    def __init__(self) -> None:
        self.begun: list[Place] = []
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self._socket.bind(("lo", 0))

    def _hear(self) -> None:
        packet, source = self._socket.recvfrom(256)
        if source[2] == socket.PACKET_OUTGOING and (place := first_packet(packet)):
            self.begun.append(place)


def first_packet(packet: bytes) -> Place | None:
    """Return where a connection is begun to, when this IP packet is the first of one."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20 and packet[9] == socket.IPPROTO_TCP:
        address, rest = socket.inet_ntop(socket.AF_INET, packet[16:20]), (packet[0] & 15) * 4
    elif version == 6 and len(packet) >= 40 and packet[6] == socket.IPPROTO_TCP:
        address, rest = socket.inet_ntop(socket.AF_INET6, packet[24:40]), 40
    else:
        return None
    segment = packet[rest : rest + 14]
    if len(segment) < 14 or segment[13] & 0x17 != SYN_ONLY:
        return None
    return address, struct.unpack("!H", segment[2:4])[0]


@dataclass
class Names(Listener):
    """A name server on every address, whose names may mean something else each time."""

    records: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Name to addresses that are all told at once."""
    turning: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Name to addresses of which each query is told the next, and the last for ever."""
    asked: collections.Counter[str] = field(default_factory=collections.Counter[str])

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("0.0.0.0", 53))  # a namespace of its own
        return super().__enter__()

    def _hear(self) -> None:
        query, back = self._socket.recvfrom(512)
        self._socket.sendto(self._answer(query), back)

    def _answer(self, query: bytes) -> bytes:
        """Answer one question of the form that resolvers send (RFC 1035, 4.1)."""
        labels: list[str] = []
        at = 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace"))
            at += 1 + query[at]
        name, (kind,) = ".".join(labels).lower(), struct.unpack("!H", query[at + 1 : at + 3])
        question = query[12 : at + 5]
        found = [packed for one in self._means(name, kind) if (packed := _packed(one, kind))]
        code = 0 if found or name in self.records or name in self.turning else 3
        head = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(found), 0, 0)
        answers = (
            b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(packed)) + packed for packed in found
        )
        return head + question + b"".join(answers)

    def _means(self, name: str, kind: int) -> list[str]:
        if kind == A:
            self.asked[name] += 1
        if name in self.turning and kind == A:
            told = self.turning[name]
            return [told[min(self.asked[name], len(told)) - 1]]
        return self.records.get(name, [])


def _packed(address: str, kind: int) -> bytes:
    family = {A: socket.AF_INET, AAAA: socket.AF_INET6}.get(kind)
    with contextlib.suppress(OSError):
        return socket.inet_pton(family, address) if family else b""
    return b""


@contextlib.contextmanager
def site(address: str, certificate: Path, answer: Callable[[str], tuple[int, dict[str, str]]]):
    """Serve a site by HTTPS on an address; `answer` gives a path's status and headers.

    `certificate` is a file in PEM with the key.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            status, headers = answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "2"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"{}")

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the base class's
            pass

    server = http.server.ThreadingHTTPServer((address, 443), Handler)
    protected = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    protected.load_cert_chain(certificate)
    server.socket = protected.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
