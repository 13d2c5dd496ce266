"""A quota is reached in the middle of a download, with the panel up and with the panel down."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from tests.drills._drill import Drill, program
from tests.drills._panel import PARTS, Panel
from tests.drills._relays import MB, Download, Tenant, code_of, plan
from tests.drills.main_job import add_servers
from tests.system.fleet import Fleet
from tests.system.processes import wait_until

BUDGET_S = 700
SAMPLE_S = 1.0
"""How often a node reads the counters of a relay while bytes flow."""
THROTTLE = 125_000
SPEED = 5 * MB
"""Of the plan, so that a quota lasts as many readings on a fast machine as on a slow one."""
MOST_OVER = 2 * SAMPLE_S * 2 * SPEED
"""What two devices may send, at the plan's speed, within two readings."""
AWAY_AT = 0.6
"""How much of the quota is used when the panel goes away."""


@dataclass
class Seen:
    """What the nodes said when the first of the relays was limited for good."""

    sent: int
    over: int
    rate: float
    seconds_after: float


def play(drill: Drill) -> None:
    quota = drill.scaled(240, least=90) * MB
    with drill.step("stand up three servers, eight clients and a panel"):
        fleet = drill.use(Fleet(servers=3, clients=8))
        panel = drill.use(Panel(host=fleet.panel_address))
        server_ids = add_servers(panel, fleet)
    terms: dict[str, Any] = {
        "traffic_bytes": quota,
        "throttle_bytes_per_second": THROTTLE,
        "rate_bytes_per_second": SPEED,
    }
    plans = {kind: plan(panel, kind, over_quota=kind, **terms) for kind in ("stop", "throttle")}
    for number, (kind, is_up) in enumerate(
        [("stop", True), ("throttle", True), ("stop", False), ("throttle", False)]
    ):
        name = f"{kind}_{'up' if is_up else 'down'}"
        with drill.step(f"reach a quota of {quota / MB:.0f} MB: {name}"):
            panel.wait_for_servers(server_ids)  # a busy machine may have missed one
            tenant = Tenant(
                panel, fleet, name.replace("_", ""), code_of(panel, plans[kind]), number
            )
            tenant.remember()
            reach(drill, panel, tenant, name, kind, quota, is_up=is_up)
        if is_up:
            with drill.step("more traffic is given, and a renewal where it was stopped again"):
                more(drill, panel, tenant, name, quota // 3)
                if kind == "stop":
                    renew(drill, panel, tenant, quota, code_of(panel, plans[kind]))
        for client in tenant.clients:
            client.stop()


def reach(
    drill: Drill,
    panel: Panel,
    tenant: Tenant,
    name: str,
    kind: str,
    quota: int,
    *,
    is_up: bool,
) -> None:
    download = Download(tenant.one, tenant.two, piece=2 * MB, most=4 * quota).start()
    try:
        if not is_up:
            wait_until(lambda: sent(tenant) >= AWAY_AT * quota, 200, "most of it is used")
            panel.kill("api", *PARTS)
            drill.say(f"the panel is gone at {sent(tenant) / MB:.1f} MB")
        seen = limited(tenant, kind, quota, is_up=is_up)
        drill.figure(f"{name}_sent_mb", seen.sent / MB)
        drill.figure(f"{name}_over_mb", seen.over / MB, at_most=MOST_OVER / MB)
        drill.figure(f"{name}_short_share", max(0, -seen.over) / quota, at_most=0.1)
        drill.figure(f"{name}_rate_mb_per_s", seen.rate / MB)
        if kind == "throttle":
            throttled_rate(drill, tenant, name)
        elif is_up:
            before = sent(tenant)
            time.sleep(3)
            drill.figure(f"{name}_sent_after_bytes", sent(tenant) - before, at_most=10_000)
    finally:
        download.stop(0)
        if not is_up:
            panel.restart_dead()
            panel.wait_until_up()


def sent(tenant: Tenant) -> int:
    return sum(relay["total_sent_bytes"] for relay in tenant.on_nodes().values())


def limited(tenant: Tenant, kind: str, quota: int, *, is_up: bool) -> Seen:
    """Wait until nodes limit the relay in use for good."""
    last, at = sent(tenant), time.monotonic()
    rates = [0.0]
    crossed = None
    until = time.monotonic() + 300
    while time.monotonic() < until:
        time.sleep(0.3)
        relays = tenant.on_nodes()
        now, total = time.monotonic(), sum(one["total_sent_bytes"] for one in relays.values())
        rates.append((total - last) / (now - at))
        last, at = total, now
        if crossed is None and total >= quota:
            crossed = now
        limits = [
            one["throttled"] if kind == "throttle" else one["reason"] == "quota"
            for one in relays.values()
        ]
        # With the panel there every relay is limited in the end. With the panel away a device that
        # turns to another relay finds a small share there; it comes back, and what counts is when
        # all of it is used.
        is_limited = all(limits) if is_up else any(limits)
        is_final = total >= quota * (0.98 if is_up else 0.9)
        if is_limited and is_final:
            if kind == "stop":  # other relays may have crumbs left, and the sums must settle
                time.sleep(2 * SAMPLE_S if is_up else 15)
                total = sent(tenant)
            rate = sorted(rates)[-max(1, len(rates) // 4)]
            return Seen(total, total - quota, rate, now - (crossed or now))
    raise AssertionError(f"not limited: {tenant.on_nodes()}")


def throttled_rate(drill: Drill, tenant: Tenant, name: str) -> None:
    """Measure what passes once the sockets' buffers are empty."""
    time.sleep(6)
    before, began = sent(tenant), time.monotonic()
    time.sleep(10)
    rate = (sent(tenant) - before) / (time.monotonic() - began)
    # Each of two devices may send so much, and counters are read every second.
    drill.figure(f"{name}_throttled_kb_per_s", rate / 1000, at_most=2 * THROTTLE / 1000 * 1.1)


def more(drill: Drill, panel: Panel, tenant: Tenant, name: str, size: int) -> None:
    began = time.monotonic()
    panel.admin.post("/api/traffic/grant", user_id=tenant.account.id, bytes=size, reason="drill")
    goes_on(drill, tenant, name, began)
    version = tenant.account.get("/api/user/rental")["rental"]["acl"]["version"]
    drill.check(f"{name}_same_acl", version == 1, f"version {version}")


def renew(drill: Drill, panel: Panel, tenant: Tenant, quota: int, code: str) -> None:
    """Use up what was given, and renew."""
    download = Download(tenant.one, tenant.two, piece=2 * MB, most=4 * quota).start()
    try:
        limited(tenant, "stop", quota + quota // 3, is_up=True)
    finally:
        download.stop(0)
    began = time.monotonic()
    tenant.account.post("/api/user/renew", code=code)
    goes_on(drill, tenant, "renewed", began)


def goes_on(drill: Drill, tenant: Tenant, name: str, began: float) -> None:
    def is_free() -> bool:
        return not any(
            one["throttled"] or one["reason"] == "quota" for one in tenant.on_nodes().values()
        )

    wait_until(is_free, 20, "the relays go on")
    drill.figure(f"{name}_reopened_s", time.monotonic() - began, at_most=5)
    via = tenant.one.wait_for_ping(tenant.two, 30)
    drill.figure(f"{name}_reachable_s", time.monotonic() - began, at_most=20)
    drill.say(f"ping via {via}")


if __name__ == "__main__":
    program(play)
