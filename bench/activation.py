"""From a posted serial to three reachable relays; beside it three bare `docker run` over SSH."""

from __future__ import annotations

import statistics

from bench._bench import Bench, memory_mb
from bench._ground import Ground
from tests.drills._panel import activate, timed
from tests.drills.main_job import bare_runs
from tests.system import bare_relay


def measure(bench: Bench, ground: Ground) -> None:
    panel, servers = ground.panel, ground.fleet.servers[:3]
    rounds = bench.scaled(20, least=3)
    with bench.step(f"{rounds} activations and {rounds} times three bare `docker run`, in turns"):
        for server in servers:
            bare_relay.load_image(server)
            bare_relay.lay_certificate(server, "bare")
        ours: list[float] = []
        bare: list[float] = []
        for number, code in enumerate(panel.serials(count=rounds)):
            bare.append(timed(lambda: bare_runs(servers, number)))  # noqa: B023 # run at once
            customer = panel.customer(f"bench{number}")
            ours.append(activate(customer, code))
            panel.admin.post(f"/api/user/{customer.id}/rental/end", reason="measured")
    activation, run = statistics.median(ours), statistics.median(bare)
    beside = f"three bare `docker run` {run:.2f} s, median of {rounds}"
    bench.figure("activation_s", activation, "s", at_most=3, reference=beside)
    bench.figure("activation_ratio", activation / run, "", at_most=2, reference=beside)
    bench.figure("activation_max_s", max(ours), "s")

    with bench.step("call the API two thousand times, and look at the processes"):
        for _ in range(bench.scaled(1000, least=100)):
            panel.admin.get("/api/user/list")
            panel.admin.get("/api/serial/list")
    for part, at_most in (("api", 200), ("servers", 250), ("tasks", None), ("dispatcher", None)):
        bench.figure(f"{part}_memory_mb", memory_mb([panel.pid(part)]), "MB", at_most=at_most)
