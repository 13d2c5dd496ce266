"""A machine of the fleet: a network namespace on the switch, with one address."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

from tests.system.fleet import netns
from tests.system.processes import Process, run, spawn

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Machine:
    """A control host or a client: its own network, the programs and files of this machine."""

    name: str
    address: str
    namespace: str
    switch: str  # namespace of the switch
    home: Path  # its folder for logs and state
    _rules: list[list[str]] = field(default_factory=list, init=False, repr=False)

    def connect(self, gateway: str) -> None:
        """Make the namespace and its cable to the switch."""
        self.home.mkdir(parents=True, exist_ok=True)
        netns.add(self.namespace)
        port = self._port
        run(
            [
                "ip", "-n", self.switch, "link", "add", port, "type", "veth",
                "peer", "name", "eth0", "netns", self.namespace,
            ]
        )  # fmt: skip
        _batch(self.switch, f"link set {port} master br0", f"link set {port} up")
        _batch(
            self.namespace,
            "link set lo up",
            "link set eth0 up",
            f"addr add {self.address}/24 dev eth0",
            f"route add default via {gateway}",
        )

    @property
    def _port(self) -> str:
        return f"v-{self.name}"

    def within(self) -> list[str]:
        """The command that, put before another, runs that one here."""
        return ["nsenter", f"--net={netns.FOLDER / self.namespace}", "--"]

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        check: bool = True,
        seconds: float = 60,
        text: str | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program here to its end, as root; `text` is its input."""
        return run([*self.within(), *argv], check=check, seconds=seconds, text=text)

    def popen(self, argv: Sequence[str | Path], *, log: str, **options: object) -> Process:
        """Start a program here, its output in `log` of the machine's folder."""
        return spawn(argv, log=self.home / log, within=self.within(), **options)  # pyright: ignore[reportArgumentType] - passed through

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a Python function in this network: its sockets open here."""
        return netns.call_in(self.namespace, function, *args, **kwargs)

    # -- trouble ---------------------------------------------------------------------------

    def vanish(self) -> None:
        """Pull the cable: everything sent to it or by it is lost, no connection is closed."""
        _batch(self.switch, f"link set {self._port} down")

    def return_(self) -> None:
        """Put the cable back."""
        _batch(self.switch, f"link set {self._port} up")

    def block(self, other: "Machine | str", *, protocol: str | None = None) -> None:
        """Drop what comes from or goes to another machine or network, without an answer."""
        address = other if isinstance(other, str) else other.address
        only = ["-p", protocol] if protocol else []
        self._rule(["INPUT", "-s", address, *only, "-j", "DROP"])
        self._rule(["OUTPUT", "-d", address, *only, "-j", "DROP"])

    def filter_ports(self, ports: str, *, protocols: Sequence[str] = ("tcp", "udp")) -> None:
        """Drop what arrives for these ports ("20000:30000"), as a security group does."""
        for protocol in protocols:
            self._rule(["INPUT", "-i", "eth0", "-p", protocol, "--dport", ports, "-j", "DROP"])

    def unblock(self) -> None:
        """Take back every block and filter."""
        while self._rules:
            self._iptables("-D", self._rules.pop())

    def _rule(self, rule: list[str]) -> None:
        self._iptables("-A", rule)
        self._rules.append(rule)

    def _iptables(self, action: str, rule: list[str]) -> None:
        run([*Machine.within(self), "iptables", "-w", action, *rule])


def _batch(namespace: str, *lines: str) -> None:
    run(["ip", "-n", namespace, "-batch", "-"], text="\n".join(lines))
