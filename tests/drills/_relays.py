"""What drills of traffic share: a customer with two real clients, and what is counted where."""

from __future__ import annotations

import json
import re
import threading
import time
from typing import Any

from tests.drills._drill import Drill
from tests.drills._panel import Account, Panel, activate
from tests.system.fleet import Fleet, Server
from tests.system.processes import wait_until
from tests.system.tailnet import Client, Control, connect_all

MB = 1_000_000
COUNTER = re.compile(r'tailscaled_inbound_bytes_total\{path="derp"\} (\d+)')


class Tenant:
    """A customer whose two devices talk through his leased relays."""

    def __init__(self, panel: Panel, fleet: Fleet, name: str, code: str, number: int = 0) -> None:
        self.panel = panel
        self.fleet = fleet
        self.account: Account = panel.customer(name)
        activate(self.account, code)
        control = Control(fleet.ctl, port=9800 + 10 * number, name=name)
        control.push(json.loads(self.account.text("/api/acl/download", form="headscale_json")))
        machines = fleet.clients[2 * number : 2 * number + 2]
        self.one, self.two = self.clients = connect_all(machines, control)
        for client in self.clients:
            self.account.post("/api/security/devices", node_key=client.key, name=client.name)
        self.one.wait_for_ping(self.two, 60)

    def traffic(self) -> dict[str, Any]:
        return self.account.get("/api/traffic/mine")["traffic"]

    def metered(self) -> int:
        return sum(relay["sent_bytes"] for relay in self.traffic()["relays"])

    def received(self) -> int:
        """What both clients got through relays, by their own counts."""
        found = [COUNTER.search(one.cli("metrics", "print")) for one in self.clients]
        return sum(int(match[1]) for match in found if match)

    def slots(self) -> list[dict[str, Any]]:
        return self.account.get("/api/user/rental")["rental"]["slots"]

    def relay_of(self, client: Client) -> tuple[Server, int]:
        """The server and the id of the client's home relay."""
        home = client.wait_for_home([slot["region_id"] for slot in self.slots()])
        slot = next(slot for slot in self.slots() if slot["region_id"] == home)
        server = next(one for one in self.fleet.servers if one.address == slot["address"])
        return server, slot["container_id"]

    def on_nodes(self) -> dict[int, dict[str, Any]]:
        """What the nodes themselves say of his relays, by id; the panel is not asked."""
        ids = {slot["container_id"] for slot in self.known_slots}
        relays = [relay for server in self.fleet.servers for relay in snapshot(server)["relays"]]
        return {relay["id"]: relay for relay in relays if relay["id"] in ids}

    def remember(self) -> None:
        """Note his relays, for when the panel is away."""
        self.known_slots = self.slots()


def snapshot(server: Server) -> dict[str, Any]:
    """What a node says, asked on its server."""
    ask = json.dumps({"id": 1, "verb": "snapshot", "body": {"cursor": None}})
    said = server.run(["derpman-node", "stdio"], text=f"{ask}\n", seconds=20).stdout
    return json.loads(said.splitlines()[0])["body"]


class Download:
    """Downloads piece after piece in the background, whatever breaks, until it is stopped."""

    def __init__(self, client: Client, peer: Client, *, piece: int, most: int) -> None:
        self._client, self._peer = client, peer
        self._piece, self._most = piece, most
        self._stopped = threading.Event()
        self._began = time.monotonic()
        self.done = 0
        self.failures: list[str] = []
        """When and why pieces failed; each is tried again."""
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Download:
        self._thread.start()
        return self

    def _run(self) -> None:
        while self.done < self._most and not self._stopped.is_set():
            try:
                self._client.fetch(self._peer, self._piece, seconds=60)
                self.done += self._piece
            except (OSError, AssertionError) as error:
                at = f"{time.monotonic() - self._began:.1f} s"
                self.failures.append(f"{at}: {type(error).__name__}: {str(error)[:200]}")
                time.sleep(0.5)

    @property
    def failed(self) -> int:
        """Return how many pieces failed."""
        return len(self.failures)

    def stop(self, seconds: float = 70) -> None:
        self._stopped.set()
        self._thread.join(seconds)

    def wait_for(self, size: int, seconds: float) -> None:
        wait_until(lambda: self.done >= size, seconds, f"{size} bytes are downloaded")


def plan(panel: Panel, name: str, **terms: Any) -> int:
    """Put a plan on sale; return its id."""
    body = {
        "name": name,
        "duration_days": 30,
        "price_fen": 100,
        "device_limit": 5,
        "rate_bytes_per_second": 0,
        **terms,
    }
    return panel.admin.post("/api/finance/plans", **body)["plan"]["id"]


def code_of(panel: Panel, plan_id: int) -> str:
    return panel.admin.post("/api/serial/generate", plan_id=plan_id, count=1)["serial_numbers"][0]


def settled(drill: Drill, tenant: Tenant, *, seconds: float = 90) -> int:
    """Wait until the panel's count is what the nodes say; return it."""

    def same() -> bool:
        nodes = sum(relay["total_sent_bytes"] for relay in tenant.on_nodes().values())
        return nodes - tenant.metered() < 20_000  # keep-alives go on

    began = time.monotonic()
    wait_until(same, seconds, "the panel has counted what the nodes say")
    drill.say(f"counted after {time.monotonic() - began:.1f} s")
    return tenant.metered()
