"""Requests to addresses that people type in: they never reach into our own network.

A name is resolved once, every address it stands for is judged, and the connection goes to an
address that was judged: a name that resolves to something else a moment later gains nothing.
Redirects are answers like others and are not followed.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import SplitResult, urlsplit

from derpman.kit.errors import PermanentFailure, TransientFailure

USER_AGENT = "derpman"
GLOBAL_IPV6 = IPv6Network("2000::/3")
NAT64 = IPv6Network("64:ff9b::/96")
LOOK_PUBLIC = (IPv4Network("168.63.129.16/32"), IPv4Network("192.0.0.0/24"))
"""Metadata and name service of Azure; protocol assignments (RFC 6890), Oracle's among them."""
NETLOC = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")

Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
"""(host, port) to the addresses it stands for; OSError when there are none."""


class AddressRefused(PermanentFailure):
    """The address is not one that we send to, or leads into a network that is not public."""


class NotAnswered(TransientFailure):
    """No complete answer came in time."""


@dataclass(frozen=True)
class Answer:
    """What the other side said; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host in the system's order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Outgoing:
    """Sends single requests. Times in seconds, for the whole of a request but its name look-up."""

    allow_private: bool = False
    """Whether loopback, private and link-local addresses may be asked: closed networks, tests."""
    forbidden: tuple[Network, ...] = ()
    """Networks that are never asked, such as our own servers', whatever else is allowed."""
    timeout: float = 10
    max_bytes: int = 1_048_576
    trust: ssl.SSLContext | None = None
    """Whom to believe; the system's authorities when None."""
    resolve: Resolve = resolve

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send one request and return the answer, whatever its status.

        Raises AddressRefused when the address may not be asked, NotAnswered when no whole answer
        of at most `max_bytes` came in time. Neither tells the address: it may hold a secret.
        """
        parts = self.checked(url)
        host, port = str(parts.hostname), parts.port or _default_port(parts)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        named = {"Host": parts.netloc, "User-Agent": USER_AGENT, **(headers or {})}
        addresses = self.addresses(host, port)
        ends = time.monotonic() + self.timeout
        try:
            with self._connected(addresses, port, ends) as plain, _cut_at(plain, ends):
                sock = self._protected(plain, host) if parts.scheme == "https" else plain
                with sock:
                    connection = http.client.HTTPConnection(host, port)
                    connection.sock = sock
                    connection.request(method, target, body=body, headers=named)
                    response = connection.getresponse()
                    content = response.read(self.max_bytes + 1)
                    if response.length and len(content) <= self.max_bytes:
                        raise http.client.IncompleteRead(content, response.length)
        except (OSError, http.client.HTTPException, ValueError) as error:
            late = time.monotonic() >= ends
            raise NotAnswered("no answer in time" if late else _reason(error)) from None
        if time.monotonic() >= ends:
            raise NotAnswered("no answer in time")  # cut off, and it may look whole
        if len(content) > self.max_bytes:
            raise NotAnswered(f"the answer is longer than {self.max_bytes} bytes")
        told = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, told, content)

    def checked(self, url: str) -> SplitResult:
        """Return the parts of a URL that has the form of one we send to, else AddressRefused."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise AddressRefused("this is no address of the form https://host/path") from None
        if (
            parts.scheme not in ("http", "https")
            or not re.fullmatch(r"[!-~]{1,2048}", url)
            or not NETLOC.fullmatch(parts.netloc)
            or port == 0
        ):
            raise AddressRefused("this is no address of the form https://host/path")
        return parts

    def addresses(self, host: str, port: int) -> list[str]:
        """Return what a host resolves to when all of it may be asked, else AddressRefused.

        However an address is written (decimal, octal, IPv6 around IPv4), what it resolves to is
        judged.
        """
        try:
            found = self.resolve(host, port)
        except (OSError, UnicodeError):
            raise NotAnswered("the name of the host is not known") from None
        if not found:
            raise NotAnswered("the name of the host is not known")
        if not all(self.may_ask(address) for address in found):
            raise AddressRefused("the address leads into a network that is not public")
        return list(found)

    def may_ask(self, address: str) -> bool:
        """Tell whether an IP address may be asked."""
        parsed = _unwrapped(address)
        if parsed is None or any(parsed in network for network in self.forbidden):
            return False
        return self.allow_private or _is_public(parsed)

    def _connected(self, addresses: Sequence[str], port: int, ends: float) -> socket.socket:
        failure: OSError = TimeoutError()
        for address in addresses:
            left = ends - time.monotonic()
            if left <= 0:
                break
            try:
                return socket.create_connection((address, port), left)  # a number: no look-up
            except OSError as error:
                failure = error
        raise failure

    def _protected(self, plain: socket.socket, host: str) -> socket.socket:
        trust = self.trust or ssl.create_default_context()
        return trust.wrap_socket(plain, server_hostname=host)


@contextlib.contextmanager
def _cut_at(sock: socket.socket, ends: float) -> Generator[None]:
    """End the connection at that instant, however slowly the other side trickles."""
    handle = sock.dup()  # wrapping in TLS takes the original away

    def cut() -> None:
        with contextlib.suppress(OSError):
            handle.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, ends - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        handle.close()


def _default_port(parts: SplitResult) -> int:
    return 443 if parts.scheme == "https" else 80


def _unwrapped(address: str) -> IPv4Address | IPv6Address | None:
    """Return the address that is really reached: IPv4 in IPv6's clothes is IPv4."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address):
        if parsed in NAT64:
            return IPv4Address(int(parsed) & 0xFFFFFFFF)
        return parsed.ipv4_mapped or parsed.sixtofour or parsed
    return parsed


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        return address in GLOBAL_IPV6 and address.is_global and address.teredo is None
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in LOOK_PUBLIC)
    )


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ssl.SSLError):
        return error.strerror
    return f"the answer cannot be read ({type(error).__name__})"
