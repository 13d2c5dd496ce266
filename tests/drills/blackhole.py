"""One of three servers swallows every packet: the pages of the panel are as fast as before."""

from __future__ import annotations

import math
import statistics
import time

import httpx2 as httpx

from tests.drills._drill import Drill, program
from tests.drills._load import Ask, Load, bearer, percentile
from tests.drills._panel import Account, Panel, activate
from tests.system.fleet import Fleet

BUDGET_S = 360
ALONE = True
PER_SECOND = 20
MOST = 1.2
SETTLE_S = 8
TURNS = 3
"""More, and the server is trusted again so late that the drill would only wait for it."""


def play(drill: Drill) -> None:
    with drill.step("stand up three servers, a panel, and customers with relays"):
        fleet = drill.use(Fleet(servers=3, clients=1))
        panel = drill.use(
            Panel(host=fleet.panel_address, environment={"DERPMAN_FAILOVER_AUTOMATIC": "false"})
        )
        key = fleet.admin_key.read_text()
        ids = [panel.add_server(server, key) for server in fleet.servers]
        panel.wait_for_servers(ids)
        people = [panel.customer(f"hole{number}") for number in range(3)]
        for one in people:
            activate(one, panel.serials()[0])
    seconds = drill.scaled(100, least=15)
    settle_s = SETTLE_S if drill.scale > 0.5 else SETTLE_S / 2
    warm = Load(panel.url, pages(panel, people, ids), per_second=PER_SECOND, seed=drill.seed)
    with drill.step("warm up: the first minute of a panel is slower than those after it"), warm:
        time.sleep(seconds / 2)
    # In turns, so that both meet the same machine.
    before: list[float] = []
    within: list[float] = []
    failed = 0
    for turn in range(drill.scaled(TURNS, least=2)):
        for is_hole, into in ((False, before), (True, within)):
            if is_hole:
                fleet.server("n2").vanish()
            time.sleep(settle_s)
            what = "one server swallows everything" if is_hole else "all is well"
            with drill.step(f"turn {turn + 1}: {what}, {PER_SECOND} pages a second"):
                load = Load(
                    panel.url,
                    pages(panel, people, ids),
                    per_second=PER_SECOND,
                    seed=drill.seed + turn,
                )
                with load:
                    time.sleep(seconds)
            failed += sum(one.status != 200 for one in load.answers)
            into.append(percentile(load.answers, 0.99))
            drill.say(f"{len(load.answers)} answers, p99 {into[-1] * 1000:.0f} ms")
            if is_hole:
                fleet.server("n2").return_()
                panel.wait_for_servers(ids)
    usual, hole = statistics.median(before), statistics.median(within)
    drill.figure("p99_before_s", usual)
    drill.figure("ratio", hole / usual)
    if drill.scale > 0.5:
        drill.figure("p99_within_s", hole, at_most=usual * MOST)
        # A machine that is too restless by itself shows nothing: half of what is looked for.
        drill.figure("unsure", _unsure(before) / usual, at_most=(MOST - 1) / 2)
    else:  # few and short turns: what two like ones differ by is allowed for
        drill.figure("p99_within_s", hole, at_most=usual * MOST + max(before) - min(before))
    drill.figure("requests_failed", failed, equals=0)


def _unsure(values: list[float]) -> float:
    """Return the standard error of a median, from how far values lie from it in the median."""
    middle = statistics.median(values)
    spread = 1.4826 * statistics.median(abs(one - middle) for one in values)
    return 1.2533 * spread / math.sqrt(len(values))


def pages(panel: Panel, people: list[Account], ids: list[int]) -> list[Ask]:
    """The pages people look at; also that of the server that is gone."""
    admin = panel.admin.token

    def page(path: str, token: str) -> Ask:
        def ask(client: httpx.Client, _number: int) -> tuple[str, httpx.Response]:
            return path, client.get(path, headers=bearer(token))

        return ask

    return [
        *(page("/api/user/home", one.token) for one in people),
        *(page("/api/user/rental", one.token) for one in people),
        page("/api/admin/overview", admin),
        page("/api/server/list", admin),
        page(f"/api/server/{ids[1]}", admin),
        page("/api/monitoring/load_analysis", admin),
        page("/api/container/list", admin),
        page("/api/user/list", admin),
    ]


if __name__ == "__main__":
    program(play)
