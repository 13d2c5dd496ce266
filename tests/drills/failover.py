"""Relays and whole servers that die under live clients: what they notice, and what is moved."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from derpman.acl import hujson
from tests.drills._drill import Drill, program
from tests.drills._panel import PARTS, Account, Panel
from tests.drills._relays import Tenant
from tests.drills.main_job import add_servers
from tests.system.emulators.tailscale import Tailscale
from tests.system.fleet import Fleet, Server
from tests.system.gap import Watch
from tests.system.processes import NotInTime, wait_until
from tests.system.tailnet import Control

BUDGET_S = 480
SETTLE_SECONDS = 4.0
"""Of quiet before something dies, so that what is measured is not what came before."""
AFTER_KILL_SECONDS = 8
LEFT_ALONE_SECONDS = 75
WITHIN_PROCESS_S = 3
WITHIN_HOST_S = 8


class Tailnet:
    """The first customer's tailnet takes his maps by the panel's own push.

    Tailscale's API is an emulator; a policy that it takes goes on to the control server of his
    clients at once, as Tailscale's own control plane does.
    """

    def __init__(self, api: Tailscale) -> None:
        self.api = api
        self.control: Control | None = None
        self.pushed_at: list[float] = []
        self._seen = api.policy
        api.after = self._hear

    def _hear(self, _request: object) -> None:
        if self.api.policy == self._seen or self.control is None:
            return
        self._seen = self.api.policy
        root = hujson.read(self._seen).root
        assert root is not None
        self.control.push(root.plain()["derpMap"])
        self.pushed_at.append(time.time())

    def link(self, account: Account) -> None:
        """Link it as a customer does: credential, preview, first push, then by itself."""
        account.post(
            "/api/acl/link",
            kind="tailscale",
            client_id=self.api.client_id,
            secret=self.api.client_secret,
            wants_push=True,
            wants_devices=False,
            is_automatic=True,
        )
        wait_until(
            lambda: account.get("/api/acl/link")["link"]["status"] == "working",
            60,
            "the link works",
        )
        for wish in ({"preview": True}, {"accept_unregistered": True}):
            push = account.post("/api/acl/push", **wish)["push"]["id"]
            wait_until(lambda id_=push: self._is_done(account, id_), 60, f"{wish} is done")

    def _is_done(self, account: Account, push_id: int) -> bool:
        status = account.get(f"/api/acl/pushes/{push_id}")["push"]["status"]
        assert status in ("queued", "done", "unchanged"), status
        return status != "queued"


class Scene:
    """A panel with four servers, and two customers: one is pushed his maps, one pastes by hand."""

    def __init__(self, drill: Drill) -> None:
        self.drill = drill
        with drill.step("stand up four servers, four clients and a panel"):
            self.fleet = drill.use(Fleet(servers=4, clients=4))
            self.tailnet = Tailnet(drill.use(Tailscale()))
            api = {
                "DERPMAN_TAILSCALE_API_URL": self.tailnet.api.url,
                "DERPMAN_ALLOW_PRIVATE_LINKS": "true",
            }
            self.panel = drill.use(Panel(host=self.fleet.panel_address, environment=api))
            ids = add_servers(self.panel, self.fleet)
        self.ids = {
            server.address: id_ for server, id_ in zip(self.fleet.servers, ids, strict=True)
        }
        with drill.step("two customers with two devices each"):
            codes = self.panel.serials(count=2)
            self.pushed = Tenant(self.panel, self.fleet, "pushed", codes[0], 0)
            self.pasting = Tenant(self.panel, self.fleet, "pasting", codes[1], 1)
        with drill.step("the first links his tailnet, which is pushed from now on"):
            self.tailnet.control = self.pushed.one.control
            self.tailnet.link(self.pushed.account)

    def id_of(self, server: Server) -> int:
        return self.ids[server.address]

    def relay_in_use(self, tenant: Tenant) -> tuple[Server, dict[str, Any]]:
        """The server and the slot through which the first device reaches the second.

        A device is reached through its home, and a ping says which that is now; what the control
        server was told may be older.
        """
        code = tenant.one.wait_for_ping(tenant.two, 60)
        regions = tenant.one.control.derp_map()["Regions"].values()
        node = next(one for one in regions if one["RegionCode"] == code)["Nodes"][0]
        slot = next(
            one
            for one in self.running(tenant)
            if (one["address"], one["port"]) == (node["IPv4"], node["DERPPort"])
        )
        server = next(one for one in self.fleet.servers if one.address == slot["address"])
        return server, slot

    def running(self, tenant: Tenant) -> list[dict[str, Any]]:
        """Every relay that is wanted for him, of two generations both."""
        query = {"user_id": tenant.account.id, "wanted": "running", "limit": 200}
        return self.panel.admin.get("/api/container/list", **query)["containers"]

    def wanted(self, tenant: Tenant, slot: int) -> list[int]:
        """The ids of all generations of a slot that are not given up."""
        return [one["container_id"] for one in self.running(tenant) if one["slot"] == slot]

    def moves(self, **query: Any) -> list[dict[str, Any]]:
        return self.panel.admin.get("/api/ha/moves", limit=200, **query)["moves"]

    def status(self, server: Server) -> str:
        return self.panel.server(self.id_of(server))["status"]

    def wait_until_healthy(self, seconds: float = 240) -> None:
        wait_until(
            lambda: {self.status(server) for server in self.fleet.servers} == {"healthy"},
            seconds,
            "all servers are healthy",
        )

    def settle(self, tenant: Tenant) -> None:
        """Wait until both devices talk through a relay, and a while more."""
        tenant.one.wait_for_ping(tenant.two, 90)
        tenant.two.wait_for_ping(tenant.one, 90)
        time.sleep(SETTLE_SECONDS)


def play(drill: Drill) -> None:
    scene = Scene(drill)
    process_is_killed(scene)
    panel_is_down(scene)
    host_vanishes(scene)
    hand_pasted(scene)
    nothing_moves_for_nothing(scene)


def relay_dies(scene: Scene, tenant: Tenant, what: str) -> float:
    """Kill the home relay's process; return the longest silence between the devices."""
    scene.settle(tenant)
    server, slot = scene.relay_in_use(tenant)
    relay = f"relay-{slot['container_id']}-"
    [name] = server.docker(
        "ps", "--filter", f"name={relay}", "--format", "{{.Names}}"
    ).stdout.split()
    with (
        scene.drill.step(f"{what}: kill {name} on {server.name}"),
        Watch(tenant.one, tenant.two) as watch,
    ):
        time.sleep(2)
        server.docker("kill", name)
        time.sleep(AFTER_KILL_SECONDS)
    return watch.gap.longest_gap_s


def process_is_killed(scene: Scene) -> None:
    rounds = scene.drill.scaled(3)
    gaps = [relay_dies(scene, scene.pushed, "a relay's process is killed") for _ in range(rounds)]
    scene.drill.figure("process_killed_s", max(gaps), at_most=WITHIN_PROCESS_S)
    scene.drill.figure("process_killed_moves", len(scene.moves()), equals=0)


def panel_is_down(scene: Scene) -> None:
    scene.settle(scene.pushed)
    scene.panel.kill("api", *PARTS)
    try:
        gap = relay_dies_blind(scene)
    finally:
        scene.panel.restart_dead()
        scene.panel.wait_until_up()
    scene.drill.figure("panel_down_process_killed_s", gap, at_most=WITHIN_PROCESS_S)
    with scene.drill.step("the panel is back and finds all well"):
        scene.wait_until_healthy()
        time.sleep(5)
    scene.drill.figure("panel_down_moves", len(scene.moves()), equals=0)


def relay_dies_blind(scene: Scene) -> float:
    """The same while nobody can be asked where the relay is: its port says it."""
    tenant = scene.pushed
    code = tenant.one.wait_for_ping(tenant.two, 60)
    regions = tenant.one.control.derp_map()["Regions"].values()
    node = next(one for one in regions if one["RegionCode"] == code)["Nodes"][0]
    server = next(one for one in scene.fleet.servers if one.address == node["IPv4"])
    names = server.docker("ps", "--filter", "name=relay-", "--format", "{{.Names}}").stdout.split()
    name = next(one for one in names if f":{node['DERPPort']}" in arguments_of(server, one))
    with (
        scene.drill.step(f"the panel is down: kill {name} on {server.name}"),
        Watch(tenant.one, tenant.two) as watch,
    ):
        time.sleep(2)
        server.docker("kill", name)
        time.sleep(AFTER_KILL_SECONDS)
    return watch.gap.longest_gap_s


def arguments_of(server: Server, container: str) -> str:
    return server.docker("inspect", container, "--format", "{{.Args}}").stdout


def host_vanishes(scene: Scene) -> None:
    rounds = scene.drill.scaled(3)
    gaps = [one_host_vanishes(scene) for _ in range(rounds)]
    scene.drill.figure("host_vanishes_s", max(gaps), at_most=WITHIN_HOST_S)


def one_host_vanishes(scene: Scene) -> float:
    drill, tenant = scene.drill, scene.pushed
    scene.wait_until_healthy()
    scene.settle(tenant)
    server, slot = scene.relay_in_use(tenant)
    known = {move["id"] for move in scene.moves()}
    with (
        drill.step(f"{server.name} vanishes, home of slot {slot['slot']}"),
        Watch(tenant.one, tenant.two) as watch,
    ):
        time.sleep(2)
        began = time.time()
        server.vanish()
        time.sleep(20)
    try:
        parts(scene, server, slot, known, began)
    finally:
        server.return_()
    homed, new = scene.relay_in_use(tenant)
    drill.say(f"home is now on {homed.name}, silence {watch.gap.longest_gap_s} s")
    drill.check("home_is_elsewhere", homed is not server, "home is where it was")
    drill.check("region_redefined", True if new["slot"] != slot["slot"] else (
        new["region_id"] == slot["region_id"]), "another region id")  # fmt: skip
    with drill.step(f"{server.name} returns and becomes healthy again"):
        scene.wait_until_healthy()
    return watch.gap.longest_gap_s


def parts(
    scene: Scene, server: Server, slot: dict[str, Any], known: set[int], began: float
) -> None:
    """Print when, after the host vanished, each part of the answer was done."""
    health = scene.panel.admin.get(f"/api/server/{scene.id_of(server)}/health")
    dead = next(one for one in health["changes"] if one["after"] == "dead")
    suspect = next(one for one in health["changes"] if one["after"] == "suspect")
    ours = [
        one
        for one in scene.moves(user_id=scene.pushed.account.id)
        if one["id"] not in known and one["slot"] == slot["slot"]
    ]
    scene.drill.check("one_move", len(ours) == 1, f"{len(ours)} moves")
    [move] = ours
    made = next(one for one in scene.pushed.slots() if one["slot"] == slot["slot"])
    ready = made.get("ready_at")
    pushed = next((at for at in scene.tailnet.pushed_at if at > began), None)
    for name, at in {
        "suspect_after_s": seconds_of(suspect["at"]),
        "detection_s": seconds_of(dead["at"]),
        "decision_s": seconds_of(move["switched_at"]),
        "replacement_ready_s": seconds_of(ready) if ready else None,
        "pushed_s": pushed,
    }.items():
        scene.drill.figure(name, None if at is None else round(at - began, 2))


def seconds_of(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()


def hand_pasted(scene: Scene) -> None:
    """He never takes the new map: left alone he is silent for long, and served when it returns."""
    drill, tenant = scene.drill, scene.pasting
    scene.wait_until_healthy()
    scene.settle(tenant)
    server, slot = scene.relay_in_use(tenant)
    with (
        drill.step(f"{server.name} vanishes under a customer who pastes by hand"),
        Watch(tenant.one, tenant.two) as watch,
    ):
        time.sleep(2)
        server.vanish()
        time.sleep(drill.scaled(LEFT_ALONE_SECONDS, least=25))
    drill.figure("left_alone_s", watch.gap.longest_gap_s)
    relays = scene.wanted(tenant, slot["slot"])
    drill.check("old_relay_kept", slot["container_id"] in relays, str(relays))
    drill.check("replaced_beside", len(relays) == 2, f"{len(relays)} generations")
    with drill.step(f"{server.name} returns; nothing is pasted"):
        server.return_()
        began = time.monotonic()
        try:
            tenant.one.wait_for_ping(tenant.two, 120)
            tenant.two.wait_for_ping(tenant.one, 120)
        except NotInTime:
            drill.check("works_again_without_pasting", False, "not within 120 s")
        else:
            drill.check("works_again_without_pasting", True)
        drill.figure("back_without_pasting_s", time.monotonic() - began)
    scene.wait_until_healthy()
    wait_until(
        lambda: tenant.two.ping(tenant.one, timeout=2) or tenant.one.ping(tenant.two, timeout=2),
        30,
        "they still talk",
    )


def nothing_moves_for_nothing(scene: Scene) -> None:
    drill = scene.drill
    with drill.step("2 % of all packets of all servers are lost"):
        before = len(scene.moves())
        loss = ["-m", "statistic", "--mode", "random", "--probability", "0.02", "-j", "DROP"]
        for server in scene.fleet.servers:
            for chain in ("INPUT", "OUTPUT"):
                server.run(["iptables", "-w", "-A", chain, *loss])
        time.sleep(drill.scaled(90, least=15))
        for server in scene.fleet.servers:
            for chain in ("INPUT", "OUTPUT"):
                server.run(["iptables", "-w", "-D", chain, *loss])
    drill.figure("packet_loss_moves", len(scene.moves()) - before, equals=0)

    with drill.step("the panel is cut off from all servers"):
        scene.wait_until_healthy()
        for server in scene.fleet.servers:
            server.block(scene.fleet.panel_address)
        time.sleep(drill.scaled(60, least=12))
        frozen = scene.panel.admin.get("/api/ha/state")["is_frozen"]
        for server in scene.fleet.servers:
            server.unblock()
    drill.check("moves_frozen", frozen, "it did not notice")
    scene.wait_until_healthy()
    drill.figure("cut_off_moves", len(scene.moves()) - before, equals=0)

    server, slot = scene.relay_in_use(scene.pushed)
    scene.settle(scene.pushed)
    known = {move["id"] for move in scene.moves()}
    cycles = drill.scaled(6, least=2)
    with drill.step(f"{server.name} comes and goes, {cycles} times"):
        for _ in range(cycles):
            server.vanish()
            time.sleep(6)
            server.return_()
            time.sleep(8)
    moved = [
        one
        for one in scene.moves(user_id=scene.pushed.account.id)
        if one["id"] not in known and one["slot"] == slot["slot"]
    ]
    drill.figure("flapping_moves", len(moved), at_most=1)


if __name__ == "__main__":
    program(play)
