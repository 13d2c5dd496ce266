"""From a posted serial to three reachable relays; beside it three bare `docker run` over SSH."""

from __future__ import annotations

import concurrent.futures
import functools
import statistics

import httpx2 as httpx

from bench._bench import Bench, memory_mb
from bench._ground import Ground
from tests.drills._panel import PASSWORD, Panel, activate, timed
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

    calls = bench.scaled(2000, least=200)
    places = concurrent.futures.ThreadPoolExecutor(16)
    with bench.step(f"call the API {calls} times from sixteen places at once"), places:
        list(places.map(functools.partial(_call, panel), range(calls // 4)))
    for part, at_most in (("api", 200), ("servers", 250), ("tasks", None), ("dispatcher", None)):
        bench.figure(f"{part}_memory_mb", memory_mb([panel.pid(part)]), "MB", at_most=at_most)


def _call(panel: Panel, number: int) -> None:
    """Log in from a public address, so that its place is looked up; read three lists."""
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/130.0.0.0 Safari/537.36"
    headers = {"X-Forwarded-For": f"8.8.{number % 200}.8", "User-Agent": agent}
    body = {"email": panel.admin.email, "password": PASSWORD}
    with httpx.Client(base_url=panel.url, headers=headers, timeout=60) as client:
        if number % 10 == 0:  # a password takes its time, on purpose
            client.post("/api/user/login", json=body).raise_for_status()
        token = {"Authorization": f"Bearer {panel.admin.token}"}
        for path in ("/api/user/list", "/api/serial/list", "/api/logs/system"):
            client.get(path, headers=token).raise_for_status()
