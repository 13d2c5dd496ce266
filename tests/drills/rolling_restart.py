"""Every process of the installed system is replaced while it is used: no request fails."""

from __future__ import annotations

import contextlib

import httpx2 as httpx

from tests.drills._drill import Drill, program
from tests.drills._load import Load, bearer, percentile
from tests.system.fleet import Fleet
from tests.system.installed import APIS, WORKERS, Installed
from tests.system.processes import NotInTime, wait_until

BUDGET_S = 360
ALONE = True
PER_SECOND = 25
TURN_S = 40
"""Longer than a turn that nobody hands over is held."""


def play(drill: Drill) -> None:
    with drill.step("install the system on a machine: Nginx, two API processes, two workers"):
        fleet = drill.use(Fleet(servers=1, clients=1))
        panel = drill.use(Installed(fleet))
    token = panel.admin.token

    def plans(client: httpx.Client, _number: int) -> tuple[str, httpx.Response]:
        return "plans", client.get("/api/finance/plans")

    def me(client: httpx.Client, _number: int) -> tuple[str, httpx.Response]:
        return "me", client.get("/api/user/me", headers=bearer(token))

    def overview(client: httpx.Client, _number: int) -> tuple[str, httpx.Response]:
        return "overview", client.get("/api/admin/overview", headers=bearer(token))

    def serial(client: httpx.Client, number: int) -> tuple[str, httpx.Response]:
        wish = {"duration_days": 30, "note": f"rolling-{number}"}
        return "serial", client.post("/api/serial/generate", json=wish, headers=bearer(token))

    rounds = drill.scaled(10, least=1)
    asks = [plans, me, me, overview, serial]
    restarts = 0
    load = Load(panel.url, asks, per_second=PER_SECOND, seed=drill.seed, trust=panel.trust)
    with load, drill.step(f"{rounds} rounds: each API process and each worker once"):
        for unit in (*APIS, *WORKERS) * rounds:
            panel.restart(unit)
            restarts += 1
            panel.wait_until_ready()
    failed = [one for one in load.answers if one.is_failed]
    for one in failed[:10]:
        drill.say(f"{one.kind}: {one.status} {one.told}")
    codes = {
        code
        for one in load.answers
        if one.kind == "serial" and one.status == 200
        for code in one.told["serial_numbers"]
    }
    kept: set[str] = set()
    before = None
    while True:
        page = panel.admin.get(
            "/api/serial/list", limit=200, **({} if before is None else {"before": before})
        )
        kept |= {one["code"] for one in page["serials"]}
        before = page["next_before"]
        if before is None:
            break

    def turns() -> int:
        return sum(panel.machine.unit_log(unit).count("has its turn") for unit in WORKERS)

    with contextlib.suppress(NotInTime):  # the last restart may have been of the one that had it
        wait_until(lambda: turns() >= 2, TURN_S, "the scheduler has its turn again")
    drill.figure("restarts", restarts)
    drill.figure("requests", len(load.answers), at_least=restarts * 10)
    drill.figure("requests_failed", len(failed), equals=0)
    drill.figure("serials_acknowledged", len(codes), at_least=1)
    drill.figure("serials_lost", len(codes - kept), equals=0)
    drill.figure("p50_s", percentile(load.answers, 0.5))
    drill.figure("p99_s", percentile(load.answers, 0.99))
    # One that comes while its process starts waits for it; Nginx would give up after a minute.
    drill.figure("slowest_s", max(one.seconds for one in load.answers))
    drill.figure("scheduler_turns", turns(), at_least=2)


if __name__ == "__main__":
    program(play)
