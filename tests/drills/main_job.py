"""From an empty fleet to two devices that talk through leased relays, and a third that may not."""

from __future__ import annotations

import concurrent.futures
import json
import statistics
import time
from typing import Any

from sqlalchemy import create_engine, text

from tests.drills._drill import Drill, program
from tests.drills._panel import Account, Panel, activate, timed
from tests.system import bare_relay, derp
from tests.system.fleet import Fleet, Server
from tests.system.processes import run, wait_until
from tests.system.tailnet import Client, Control, connect_all

BUDGET_S = 240
ALONE = True
DOWNLOAD_BYTES = 8 * 1024 * 1024


def play(drill: Drill) -> None:
    with drill.step("stand up four servers, four clients and a panel"):
        fleet = drill.use(Fleet(servers=4, clients=4))
        panel = drill.use(Panel(host=fleet_host(fleet)))
    with drill.step("add the servers over SSH"):
        add_servers(panel, fleet)
    drill.say("\n".join(panel.cli("server", "list").splitlines()))

    speed_of_activation(drill, panel, fleet)
    carl = panel.customer("carl")
    with drill.step("carl activates a serial"):
        drill.say(f"ready after {activate(carl, panel.serials()[0]):.2f} s")
    slots: list[dict[str, Any]] = carl.extra["rental"]["slots"]
    clients_through_relays(drill, fleet, carl, slots)
    revoked_and_foreign(drill, panel, carl, slots)
    nothing_left(drill, panel, fleet, carl)


def fleet_host(fleet: Fleet) -> str:
    """The panel listens where its servers and clients could reach it."""
    return fleet.panel_address


def add_servers(panel: Panel, fleet: Fleet) -> list[int]:
    key = fleet.admin_key.read_text()
    ids = [panel.add_server(server, key) for server in fleet.servers]
    panel.wait_for_servers(ids)
    return ids


def speed_of_activation(drill: Drill, panel: Panel, fleet: Fleet) -> None:
    """Activations and bare `docker run` in turns, so that both meet the same machine."""
    rounds = drill.scaled(20, least=3)
    servers = fleet.servers[:3]
    with drill.step(f"{rounds} activations and {rounds} times three bare `docker run`, in turns"):
        for server in servers:
            bare_relay.load_image(server)
            bare_relay.lay_certificate(server, "bare")
        codes = panel.serials(count=rounds)
        ours: list[float] = []
        bare: list[float] = []
        for number, code in enumerate(codes):
            bare.append(timed(lambda: bare_runs(servers, number)))  # noqa: B023 # run at once
            customer = panel.customer(f"speed{number}")
            ours.append(activate(customer, code))
            panel.admin.post(f"/api/user/{customer.id}/rental/end", reason="measured")
    activation, run_s = statistics.median(ours), statistics.median(bare)
    drill.figure("activation_s", activation, at_most=3)
    drill.figure("activation_max_s", max(ours))
    drill.figure("bare_s", run_s)
    drill.figure("ratio", activation / run_s, at_most=2)


def bare_runs(servers: list[Server], number: int) -> None:
    """Three `docker run` over SSH side by side, as by hand, and removed again unmeasured."""

    def one(server: Server) -> None:
        port = 31000 + number
        words = bare_relay.command(server, f"bare-{number}", port, port)
        run(server.ssh_argv(*words), seconds=60)

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(one, servers))


def clients_through_relays(
    drill: Drill, fleet: Fleet, carl: Account, slots: list[dict[str, Any]]
) -> None:
    control = Control(fleet.ctl)
    with drill.step("apply the ACL to the control server and log two clients in"):
        control.push(json.loads(carl.text("/api/acl/download", form="headscale_json")))
        first, second = connect_all(fleet.clients[:2], control)
        imported = carl.post("/api/security/devices/import", status=first.status_text())
        drill.say(f"pasted status: {[row['result'] for row in imported['results']]}")
        known = {row["node_key"] for row in imported["results"]}
        if second.key not in known:
            carl.post("/api/security/devices", node_key=second.key, name="second")
    with drill.step("both reach each other through a leased relay"):
        via = first.wait_for_ping(second, 60)
        took = first.fetch(second, DOWNLOAD_BYTES)
        drill.say(f"ping via {via}, {DOWNLOAD_BYTES} bytes in {took:.2f} s")
    ours = {str(slot["region_id"]) for slot in slots}
    codes = {region["RegionCode"] for region in control.derp_map()["Regions"].values()}
    drill.check("registered_connected", via in codes, f"{via} is not of {codes}")
    homes = {str(client.home) for client in (first, second)}
    drill.check("home_is_leased", homes <= ours, f"{homes} are not of {ours}")

    third = Client(fleet.clients[2], control)
    third.up(wait=False)
    began = time.monotonic()

    def knocks() -> list[dict[str, Any]]:
        listed = carl.get("/api/security/knocks")["knocks"]
        return [knock for knock in listed if knock["node_key"] == third.key]

    [knock] = wait_until(knocks, 30, "the third client knocks")
    drill.figure("knock_s", time.monotonic() - began, at_most=5)
    drill.say(f"knock from {knock['ip_address']} ({knock['location']}), slot {knock['slot']}")
    drill.check("unregistered_refused", not third.ping(first, timeout=3), "it got through")

    began = time.monotonic()
    carl.post(f"/api/security/knocks/{knock['id']}/approve", name="third")
    wait_until(lambda: third.ping(first, timeout=1), 30, "the approved client gets through")
    drill.figure("approve_to_connected_s", time.monotonic() - began, at_most=7)

    def online() -> bool:
        devices = carl.get("/api/security/devices")["devices"]
        return all(device["connections"] for device in devices)

    wait_until(online, 15, "the page shows all devices connected")
    drill.check("presence_shown", online())


def revoked_and_foreign(
    drill: Drill, panel: Panel, carl: Account, slots: list[dict[str, Any]]
) -> None:
    key = derp.new_key()
    device = carl.post("/api/security/devices", node_key=derp.node_key(key), name="fourth")
    relays = [(slot["address"], slot["port"], slot["pin"]) for slot in slots]
    wait_until(
        lambda: all(derp.is_admitted(address, port, key) for address, port, _ in relays),
        15,
        "the device is let in on all three relays",
    )
    with drill.step("a device that is connected to all three relays is removed"):
        held = [derp.Derp(address, port, key, pin=pin) for address, port, pin in relays]
        began = time.monotonic()
        carl.post(f"/api/security/devices/{device['device']['id']}/remove")
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            closed = list(pool.map(lambda one: one.seconds_until_closed(10), held))
        took = time.monotonic() - began if None not in closed else None
    drill.figure("revoke_to_closed_s", took, at_most=2)
    back = [derp.is_admitted(address, port, key) for address, port, _ in relays]
    drill.check("revoked_stays_out", not any(back), str(back))

    eve = panel.customer("eve")
    activate(eve, panel.serials()[0])
    hers = derp.new_key()
    eve.post("/api/security/devices", node_key=derp.node_key(hers), name="eve")
    own = eve.extra["rental"]["slots"][0]
    wait_until(
        lambda: derp.is_admitted(own["address"], own["port"], hers), 15, "eve uses her own relay"
    )
    let_in = [derp.is_admitted(address, port, hers) for address, port, _ in relays]
    drill.check("foreign_refused", not any(let_in), str(let_in))
    panel.admin.post(f"/api/user/{eve.id}/rental/end", reason="drill")


def nothing_left(drill: Drill, panel: Panel, fleet: Fleet, carl: Account) -> None:
    with drill.step("an admin ends the rental"):
        panel.admin.post(f"/api/user/{carl.id}/rental/end", reason="drill")
        wait_until(lambda: not _left(panel, fleet), 30, "nothing is left")
    left = _left(panel, fleet)
    drill.figure("left_behind", len(left), equals=0)
    if left:
        drill.say("\n".join(left))


def _left(panel: Panel, fleet: Fleet) -> list[str]:
    """Containers, node state, and claims that do not rest."""
    left: list[str] = []
    for server in fleet.servers:
        names = server.docker("ps", "--all", "--filter", "name=relay-", "--format", "{{.Names}}")
        left += [f"{server.name}: container {name}" for name in names.stdout.split()]
        folders = server.run(["sh", "-c", "ls /var/lib/derpman/relays 2>/dev/null || true"])
        left += [f"{server.name}: state {name}" for name in folders.stdout.split()]
    engine = create_engine(panel.database_url)
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT server_id, port FROM port_claims WHERE free_at IS NULL")
        )
        left += [f"claim {row.server_id}:{row.port}" for row in rows]
    engine.dispose()
    return left


if __name__ == "__main__":
    program(play)
