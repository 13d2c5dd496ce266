"""A tailnet of the tests: a control server and real Tailscale clients.

They run in the fleet's namespaces, or on this machine as it is (`Here`).
"""

import contextlib
import functools
import http.client
import http.server
import json
import socketserver
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from tests.system import socks
from tests.system.binaries import build
from tests.system.processes import NotInTime, Process, run, spawn, wait_until

P = ParamSpec("P")
T = TypeVar("T")
DerpMap = Mapping[str, Any]


@dataclass(frozen=True)
class Node:
    """A client as the control server knows it."""

    key: str  # nodekey:<64 hex>
    name: str
    home: int  # DERP region ID; 0 when it has none


class Machine(Protocol):
    """What a control server or a client asks of where it runs; the fleet's machines are such."""

    name: str
    address: str
    home: Path

    def popen(self, argv: Sequence[str | Path], *, log: str, **options: Any) -> Process: ...
    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...


@dataclass
class Here:
    """This machine as it is, its programs' files in a folder."""

    name: str
    home: Path
    address: str = "127.0.0.1"

    def popen(self, argv: Sequence[str | Path], *, log: str, **options: Any) -> Process:
        return spawn(argv, log=self.home / log, **options)

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)


class Control:
    """A control server on a machine of the fleet: one tailnet, which admits everyone."""

    def __init__(
        self,
        machine: Machine,
        *,
        port: int = 9800,
        admin_port: int | None = None,
        name: str = "control",
    ) -> None:
        self.url = f"http://{machine.address}:{port}"
        self._admin = (machine.address, admin_port or port + 1)
        admin = f"{machine.address}:{self._admin[1]}"
        words = ["--listen", f"{machine.address}:{port}", "--admin", admin]
        self.process = machine.popen([build().control, *words], log=f"{name}.log")
        self._wait_until_up()

    def _wait_until_up(self) -> None:
        def answers() -> bool:
            if not self.process.alive():
                raise AssertionError(f"the control server ended:\n{self.process.tail()}")
            with contextlib.suppress(OSError):
                self.nodes()
                return True
            return False

        wait_until(answers, 10, "the control server answers")

    def push(self, derp_map: DerpMap) -> None:
        """Hand every client this DERP map (a tailcfg.DERPMap), now and from now on."""
        self._ask("POST", "/derpmap", json.dumps(derp_map))

    def derp_map(self) -> dict[str, Any]:
        return self._ask("GET", "/derpmap")

    def nodes(self) -> list[Node]:
        """The clients that have registered."""
        return [Node(one["key"], one["name"], one["home"]) for one in self._ask("GET", "/nodes")]

    def stop(self) -> None:
        self.process.stop()

    def _ask(self, method: str, path: str, body: str | None = None) -> Any:
        conn = http.client.HTTPConnection(*self._admin, timeout=10)
        with contextlib.closing(conn):
            conn.request(method, path, body)
            answer = conn.getresponse()
            text = answer.read()
        assert answer.status == 200, f"{method} {path}: {answer.status} {text!r}"
        return json.loads(text)


class Client:
    """A Tailscale client on a machine, with its network stack in userspace.

    Reach peers through its SOCKS proxy (`fetch`, `connect`): there is no network device. What a
    peer sends to this client's Tailscale address arrives at 127.0.0.1 of its machine.
    """

    def __init__(
        self, machine: Machine, control: Control, *, name: str = "", port: int = 1055
    ) -> None:
        self.machine = machine
        self.control = control
        self.name = name or machine.name
        self.proxy = ("127.0.0.1", port)
        self._folder = machine.home / f"tailscale-{self.name}"
        self._socket = self._folder / "tailscaled.sock"
        self._server: _Server | None = None
        self.start()

    # -- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the daemon; with the state it left it keeps its key and its login."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.process = self.machine.popen(
            [
                build().tailscaled,
                "--tun=userspace-networking",
                f"--statedir={self._folder}",
                f"--socket={self._socket}",
                f"--socks5-server={self.proxy[0]}:{self.proxy[1]}",
                "--port=0",
            ],
            log=f"tailscale-{self.name}.log",
            # Not TS_DEBUG_ALWAYS_USE_DERP: it blocks STUN too, and home selection then behaves
            # as no customer's does. The fleet drops UDP between clients instead.
            env={"TS_NO_LOGS_NO_SUPPORT": "true", "TS_DISABLE_PORTMAPPER": "1"},
        )
        wait_until(self._socket.exists, 10, f"{self.name}: tailscaled listens")

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def up(self, *, wait: bool = True) -> "Client":
        """Log in; with `wait` until it is running and has an address (not: a relay)."""
        flags = [f"--login-server={self.control.url}", f"--hostname={self.name}"]
        self.cli("up", *flags, "--accept-dns=false", "--timeout=30s", seconds=40)
        if wait:
            wait_until(lambda: self.ip, 10, f"{self.name} has an address")
        return self

    def logout(self) -> None:
        """Leave the tailnet; the next `up` makes a new node key."""
        self.cli("logout")

    def new_key(self) -> None:
        """Make a new node key, as a customer's device does at a forced login."""
        flags = [f"--login-server={self.control.url}", f"--hostname={self.name}"]
        self.cli("up", *flags, "--accept-dns=false", "--force-reauth", "--timeout=30s", seconds=40)

    def cli(self, *words: str, check: bool = True, seconds: float = 30) -> str:
        """What `tailscale` says, stdout and stderr."""
        argv = [build().tailscale, f"--socket={self._socket}", *words]
        done = run(argv, check=check, seconds=seconds)
        return done.stdout + done.stderr

    # -- looking ---------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """`tailscale status --json`, as a customer pastes it."""
        return json.loads(self.status_text())

    def status_text(self) -> str:
        argv = [build().tailscale, f"--socket={self._socket}", "status", "--json"]
        return run(argv, seconds=10).stdout

    @property
    def key(self) -> str:
        """Its node key, nodekey:<64 hex>."""
        return self.status()["Self"]["PublicKey"]

    @property
    def ip(self) -> str:
        """Its Tailscale IPv4 address; empty before it has one."""
        found = self.status()["Self"].get("TailscaleIPs") or []
        return next((ip for ip in found if ":" not in ip), "")

    @property
    def home(self) -> int:
        """Region ID of its home relay as the control server was told; 0 for none."""
        return next((node.home for node in self.control.nodes() if node.key == self.key), 0)

    def is_connected(self) -> bool:
        """Whether it has a home relay and says of none that it cannot be reached."""
        told = " ".join(self.status().get("Health") or [])
        return self.home != 0 and "relay server" not in told

    def log(self) -> str:
        return self.process.output()

    def knows(self, peer: "Client") -> bool:
        return any(
            one["PublicKey"] == peer.key for one in (self.status().get("Peer") or {}).values()
        )

    # -- waiting ---------------------------------------------------------------------------

    def wait_for_home(self, regions: Sequence[int] = (), seconds: float = 30) -> int:
        """Wait for a home relay (among `regions` when given); returns its region ID."""

        def found() -> int:
            home = self.home
            return home if home and (not regions or home in regions) else 0

        return wait_until(found, seconds, f"{self.name} has a home relay in {list(regions)}")

    def wait_for_ping(self, peer: "Client", seconds: float = 30) -> str:
        """Wait until a ping is answered through a relay; returns the relay's region code."""
        return wait_until(lambda: self.ping(peer), seconds, f"{self.name} pings {peer.name}")

    # -- traffic ---------------------------------------------------------------------------

    def ping(self, peer: "Client", *, timeout: float = 2) -> str:
        """One ping; the code of the relay it came back through, "direct", or "" for no answer."""
        words = ["ping", "--c=1", f"--timeout={timeout:g}s", "--until-direct=false", peer.ip]
        said = self.cli(*words, check=False, seconds=timeout + 10)
        if "pong from" not in said:
            return ""
        return said.partition("via DERP(")[2].partition(")")[0] or "direct"

    def serve(self) -> int:
        """Serve `/N`, N bytes, to peers (and to HEAD, nothing); returns the port."""
        if self._server is None:
            make = functools.partial(_Server, ("127.0.0.1", 0), _Bytes)
            self._server = self.machine.call(make)
            threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self._server.server_address[1]

    def connect(self, peer: "Client", port: int, *, timeout: float = 5) -> Any:
        """A socket to a port of the peer's machine, through the tailnet."""
        return self.machine.call(socks.connect, self.proxy, peer.ip, port, timeout)

    def fetch(self, peer: "Client", size: int, *, seconds: float = 60) -> float:
        """Download `size` bytes from the peer; returns how long it took in seconds."""
        port = peer.serve()
        began = time.monotonic()
        with self.connect(peer, port, timeout=10) as conn:
            conn.sendall(f"GET /{size} HTTP/1.0\r\n\r\n".encode())
            body = -1  # length of the body so far, once the head has passed
            head = b""
            while body < size:
                if time.monotonic() - began > seconds:
                    raise NotInTime(f"{body} of {size} bytes in {seconds:g} s")
                data = conn.recv(1 << 18)
                if not data:
                    break
                if body >= 0:
                    body += len(data)
                else:
                    head += data
                    if b"\r\n\r\n" in head:
                        body = len(head.partition(b"\r\n\r\n")[2])
        assert body == size, f"{body} of {size} bytes came"
        return time.monotonic() - began


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


class _Bytes(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        size = int(self.path.strip("/") or 0)
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        block = bytes(65536)
        with contextlib.suppress(OSError):
            while size > 0:
                size -= self.wfile.write(block[: min(size, len(block))])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass


def region(
    region_id: int, code: str, address: str, port: int, stun_port: int, pin: str
) -> dict[str, Any]:
    """One DERP region of one relay with a pinned certificate, as derpMap has it."""
    return {
        "RegionID": region_id,
        "RegionCode": code,
        "RegionName": code,
        "Nodes": [
            {
                "Name": f"{region_id}a",
                "RegionID": region_id,
                "HostName": address,
                "IPv4": address,
                "IPv6": "none",
                "DERPPort": port,
                "STUNPort": stun_port,
                "CertName": f"sha256-raw:{pin}",
            }
        ],
    }


def derp_map(*regions: Mapping[str, Any]) -> dict[str, Any]:
    """A map of these regions and none of Tailscale's."""
    return {
        "OmitDefaultRegions": True,
        "Regions": {str(one["RegionID"]): one for one in regions},
    }


def connect_all(
    machines: Sequence[Machine], control: Control, *, wait: Callable[[Client], object] | None = None
) -> list[Client]:
    """Clients on these machines, logged in, then `wait` for each."""
    clients = [Client(machine, control) for machine in machines]
    for client in clients:
        client.up()
    for client in clients:
        if wait:
            wait(client)
    return clients
