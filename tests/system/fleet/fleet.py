"""The fleet: a switch, servers, a control host and clients on one machine. See README.md."""

import contextlib
import os
import subprocess
from pathlib import Path
from types import TracebackType

from tests.system.fleet import needs
from tests.system.fleet.machines import Machine
from tests.system.fleet.netns import add
from tests.system.fleet.runs import Run, free_subnet
from tests.system.fleet.servers import Server
from tests.system.processes import Impossible, run


class NotPossible(Impossible):
    """This machine lacks something a fleet needs; the message says what."""


class Fleet:
    """Servers n1…, clients c1… and ctl, on a subnet of their own; this machine is `panel_address`.

    Clients cannot reach each other by UDP, so Tailscale between them must use a relay. There is
    no way out: nothing in the fleet reaches any other network.
    """

    def __init__(self, servers: int = 4, clients: int = 4) -> None:
        if lacking := needs.missing():
            raise NotPossible("no test fleet on this machine: " + "; ".join(lacking))
        if "/usr/sbin" not in os.environ["PATH"].split(":"):
            os.environ["PATH"] += ":/usr/sbin:/sbin"
        self._run = Run()
        self.folder = self._run.folder
        self.subnet = free_subnet()
        self.switch = f"{self._run.prefix}-sw"
        self.panel_address = str(self.subnet[254])
        self.admin_key = self.folder / "admin_key"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "admin", "-f", self.admin_key])
        self.ctl = self._machine("ctl", 1)
        self.clients = [self._machine(f"c{n}", 100 + n) for n in range(1, clients + 1)]
        self.servers: list[Server] = []
        self._connected = False
        for number in range(1, servers + 1):
            self.add_server(f"n{number}")

    def __getitem__(self, name: str) -> Machine:
        return next(one for one in self.machines if one.name == name)

    def server(self, name: str) -> Server:
        return next(one for one in self.servers if one.name == name)

    @property
    def machines(self) -> list[Machine]:
        return [self.ctl, *self.servers, *self.clients]

    def up(self) -> "Fleet":
        """Stand it up and wait until every server answers; a failure leaves nothing behind."""
        try:
            self._make_switch()
            for machine in [self.ctl, *self.clients]:
                machine.connect(self._nowhere)
            for client in self.clients:
                client.block(f"{self.subnet[96]}/27", protocol="udp")
            self._connected = True
            for server in self.servers:
                self._start(server)
            for server in self.servers:
                server.wait_until_up()
        except BaseException:
            self.down()
            raise
        return self

    def down(self, *, keep_folder: bool = False) -> None:
        """Remove all of it; `keep_folder` leaves logs and disks for a look."""
        for server in self.servers:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                server.cut_power()
        self._run.close(keep_folder=keep_folder)

    def __enter__(self) -> "Fleet":
        return self.up()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down(keep_folder=bool(os.environ.get("DERPMAN_KEEP_FLEET")))

    def add_server(self, name: str, *, docker: bool = True, disk_mb: int | None = None) -> Server:
        """One more server (name of at most 4 letters); it starts at once when the fleet is up."""
        number = 11 + len(self.servers)
        place = self._place(name, number)
        server = Server(*place, docker_installed=docker, disk_mb=disk_mb)
        self.servers.append(server)
        if self._connected:
            self._start(server)
            server.wait_until_up()
        return server

    # -- below -----------------------------------------------------------------------------

    def _start(self, server: Server) -> None:
        server.connect(self._nowhere)
        server.prepare(self.admin_key.with_suffix(".pub").read_text().strip())
        server.boot()

    @property
    def _nowhere(self) -> str:
        return str(self.subnet[253])  # a gateway that does not exist

    def _machine(self, name: str, number: int) -> Machine:
        return Machine(*self._place(name, number))

    def _place(self, name: str, number: int) -> tuple[str, str, str, str, Path]:
        namespace = f"{self._run.prefix}-{name}"
        return name, str(self.subnet[number]), namespace, self.switch, self.folder / name

    def _make_switch(self) -> None:
        cable = self._run.prefix
        add(self.switch)
        lines = "link add br0 type bridge\nlink set br0 up\n"
        run(["ip", "-n", self.switch, "-batch", "-"], text=lines)
        run(["ip", "link", "add", cable, "type", "veth", "peer", "name", "v-panel",
             "netns", self.switch])  # fmt: skip
        lines = "link set v-panel master br0\nlink set v-panel up\n"
        run(["ip", "-n", self.switch, "-batch", "-"], text=lines)
        run(["ip", "addr", "add", f"{self.panel_address}/24", "dev", cable])
        run(["ip", "link", "set", cable, "up"])
