"""Data from device to device through a leased relay, and through a bare derper beside it."""

from __future__ import annotations

import json
import statistics
from typing import Any

from bench._bench import Bench, build_load, go_first, pids
from bench._ground import Ground
from tests.drills._panel import Account, activate
from tests.system import bare_relay, derp
from tests.system.fleet import Fleet, Server
from tests.system.processes import wait_until

PACKET_BYTES = 1280
WINDOW = 24
TURN_S = 0.25  # short, so that both meet what else the machine does
UNLIMITED: dict[str, Any] = {
    "name": "no limit of speed",
    "duration_days": 17,
    "price_fen": 0,
    "traffic_bytes": 10**15,
    "rate_bytes_per_second": 0,
    "device_limit": 5,
}
"""The plans that exist slow every device down: what is compared are relays, not limits."""


def measure(bench: Bench, ground: Ground) -> None:
    panel, fleet = ground.panel, ground.fleet
    customer = panel.customer("throughput")
    with bench.step("activate a rental, register two devices, start a bare relay"):
        panel.admin.post("/api/finance/plans", **UNLIMITED)
        activate(customer, panel.serials(days=UNLIMITED["duration_days"])[0])
        keys = [derp.new_key(), derp.new_key()]
        for key in keys:
            customer.post("/api/security/devices", node_key=derp.node_key(key), name="bench")
        leased, server = _leased(customer, fleet)
        bare = bare_relay.start(server)
        wait_until(lambda: _let_in(leased, keys), 15, "the leased relay lets both devices in")
        go_first(pids(server, "derper"))
    rounds = bench.scaled(120, least=12)
    wish = {
        "from": f"privkey:{bytes(keys[0]).hex()}",
        "to": f"privkey:{bytes(keys[1]).hex()}",
        "relays": [leased, {"address": server.address, "port": bare.port, "pin": bare.pin}],
        "rounds": rounds,
        "seconds": TURN_S,
        "bytes": PACKET_BYTES,
        "window": WINDOW,
    }
    load = ["nice", "-n", "-19", build_load(), "relay"]
    with bench.step(f"{rounds} times {TURN_S:g} s through each, in turns"):
        done = fleet.clients[0].run(load, text=json.dumps(wish), seconds=rounds * 2 + 60)
    result = json.loads(done.stdout)
    ours, theirs = (statistics.median(rates) / 1e6 for rates in result["bytes_per_second"])
    ratios = [a / b for a, b in zip(*result["bytes_per_second"], strict=True)]
    beside = f"bare derper {theirs:.1f} MB/s, median of {rounds}; {result['lost']} packets lost"
    bench.figure("throughput_mb_s", ours, "MB/s", reference=beside)
    bench.figure("throughput_ratio", statistics.median(ratios), "", at_least=0.97, reference=beside)
    panel.admin.post(f"/api/user/{customer.id}/rental/end", reason="measured")
    bare.remove()


def _leased(customer: Account, fleet: Fleet) -> tuple[dict[str, Any], Server]:
    """One of the customer's relays, and the server that it is on."""
    slot = customer.extra["rental"]["slots"][0]
    server = next(one for one in fleet.servers if one.address == slot["address"])
    return {name: slot[name] for name in ("address", "port", "pin")}, server


def _let_in(place: dict[str, Any], keys: list[Any]) -> bool:
    return all(derp.is_admitted(place["address"], place["port"], key) for key in keys)
