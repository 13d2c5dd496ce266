"""What measurements stand on, each made when first asked for and shared within a run."""

from __future__ import annotations

from functools import cached_property

from bench import _crowd
from bench._bench import Bench
from tests.drills._panel import Panel
from tests.system.fleet import Fleet


class Ground:
    """A fleet, a panel that leads three of its servers, and a server with a hundred relays."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    @cached_property
    def fleet(self) -> Fleet:
        """Three servers and a client."""
        with self._bench.step("stand three servers up"):
            return self._bench.use(Fleet(servers=3, clients=1))

    @cached_property
    def panel(self) -> Panel:
        """A panel as processes, with MariaDB and Redis; the three servers are its own."""
        fleet = self.fleet
        with self._bench.step("stand a panel up and add the servers"):
            more = {"TRUSTED_PROXIES": fleet.panel_address}
            panel = self._bench.use(Panel(host=fleet.panel_address, environment=more))
            key = fleet.admin_key.read_text()
            panel.wait_for_servers([panel.add_server(one, key) for one in fleet.servers[:3]])
        return panel

    @cached_property
    def crowd(self) -> _crowd.Crowd:
        """A server whose node, led by no panel, runs a hundred relays in Docker."""
        relays = self._bench.scaled(100, least=10)
        server = self.fleet.add_server("many")
        with self._bench.step(f"start {relays} relays on one server"):
            return _crowd.start(server, relays)
