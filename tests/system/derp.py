"""A small DERP client: enough to be admitted, refused, kept, and cut off.

The frames are those of `derp/derp.go` of tailscale.com 1.102.5; `docs/node-protocol.md` says what
the node does with them.
"""

from __future__ import annotations

import hashlib
import json
import select
import socket
import ssl
import struct
import time
from types import TracebackType
from typing import Self

from nacl.public import Box, PrivateKey, PublicKey

MAGIC = "DERP🔑".encode()
SERVER_KEY, CLIENT_INFO, SERVER_INFO = 0x01, 0x02, 0x03
SEND_PACKET, RECV_PACKET, KEEP_ALIVE, PING, PONG = 0x04, 0x05, 0x06, 0x12, 0x13


class Refused(Exception):
    """The relay closed the connection instead of admitting us."""


class WrongPin(Exception):
    """The certificate is not the one the derpMap names."""


def new_key() -> PrivateKey:
    return PrivateKey.generate()


def node_key(key: PrivateKey) -> str:
    """The public half as Tailscale writes it."""
    return f"nodekey:{bytes(key.public_key).hex()}"


class Derp:
    """One connection to one relay; entering it logs in, Refused when the relay does not admit."""

    def __init__(
        self,
        address: str,
        port: int,
        key: PrivateKey,
        *,
        pin: str = "",
        timeout: float = 10,
        source: str = "",
    ) -> None:
        self.address = address
        self.key = key
        self._timeout = timeout
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # a pin instead, below
        own = (source, 0) if source else None
        plain = socket.create_connection((address, port), timeout=timeout, source_address=own)
        try:
            self._tls = context.wrap_socket(plain)
        except BaseException:
            plain.close()
            raise
        try:
            self._log_in(pin)
        except (OSError, EOFError) as error:
            self.close()
            raise Refused(f"{address}:{port}: {type(error).__name__}") from error
        except BaseException:
            self.close()
            raise

    def _log_in(self, pin: str) -> None:
        certificate = self._tls.getpeercert(binary_form=True) or b""
        if pin and hashlib.sha256(certificate).hexdigest() != pin.removeprefix("sha256-raw:"):
            raise WrongPin(self.address)
        self._tls.sendall(
            b"GET /derp HTTP/1.1\r\nHost: derp\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n"
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._exactly(1)
        if not head.startswith(b"HTTP/1.1 101"):
            raise Refused(head.split(b"\r\n")[0].decode(errors="replace"))
        kind, body = self.frame()
        if kind != SERVER_KEY or not body.startswith(MAGIC):
            raise Refused("not a DERP server")
        box = Box(self.key, PublicKey(body[len(MAGIC) : len(MAGIC) + 32]))
        info = box.encrypt(json.dumps({"version": 2, "CanAckPings": True}).encode())
        self._send(CLIENT_INFO, bytes(self.key.public_key) + bytes(info))
        while kind != SERVER_INFO:
            kind, body = self.frame()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._tls.close()

    def send(self, to: PrivateKey | PublicKey, data: bytes) -> None:
        """Have the relay hand a packet to another client."""
        public = to.public_key if isinstance(to, PrivateKey) else to
        self._send(SEND_PACKET, bytes(public) + data)

    def receive(self) -> bytes:
        """The next packet's data; keep-alives and the like are skipped."""
        while True:
            kind, body = self.frame()
            if kind == RECV_PACKET:
                return body[32:]

    def ping(self) -> None:
        """Have the relay answer; EOFError or OSError when it does not any more."""
        self._send(PING, b"12345678")
        while self.frame()[0] != PONG:
            pass

    def seconds_until_closed(self, at_most: float) -> float | None:
        """Wait until the relay closes the connection; None when it does not in time."""
        began = time.monotonic()
        while (left := at_most - (time.monotonic() - began)) > 0:
            if not self._tls.pending() and not select.select([self._tls], [], [], left)[0]:
                return None
            try:
                self.frame()
            except (EOFError, OSError):
                return time.monotonic() - began
        return None

    def frame(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BI", self._exactly(5))
        return kind, self._exactly(length)

    def _send(self, kind: int, body: bytes) -> None:
        self._tls.sendall(struct.pack(">BI", kind, len(body)) + body)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._tls.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data


def is_admitted(address: str, port: int, key: PrivateKey, *, pin: str = "") -> bool:
    """Whether the relay lets this key in."""
    try:
        with Derp(address, port, key, pin=pin) as derp:
            derp.ping()
    except (Refused, EOFError, OSError):
        return False
    return True
