"""Everything is killed once in the middle of 500 MB: all of it is metered, nothing twice."""

from __future__ import annotations

import time

from sqlalchemy import create_engine, select, update

from derpman.servers.models import ServerLink
from tests.drills._drill import Drill, program
from tests.drills._panel import Panel
from tests.drills._relays import MB, Download, Tenant, settled
from tests.drills.main_job import add_servers
from tests.system.fleet import Fleet, Server
from tests.system.processes import wait_until

BUDGET_S = 300
NODE = "derpman-node"
SAMPLE_S = 1.0
"""How often a node reads the counters of a relay while bytes flow."""
SHARE = 0.01


def play(drill: Drill) -> None:
    with drill.step("stand up three servers, two clients and a panel"):
        fleet = drill.use(Fleet(servers=3, clients=2))
        hurried = {"DERPMAN_METERING_SECONDS": "5"}
        panel = drill.use(Panel(host=fleet.panel_address, environment=hurried))
        add_servers(panel, fleet)
        tenant = Tenant(panel, fleet, "carl", panel.serials()[0])
        tenant.remember()
    whole = drill.scaled(500, least=40) * MB
    got_before, metered_before = tenant.received(), settled(drill, tenant)
    server, relay = tenant.relay_of(tenant.one)
    began = time.monotonic()
    download = Download(tenant.one, tenant.two, piece=2 * MB, most=whole).start()
    drill.finally_(download.stop)
    kills = {
        "relay": lambda: kill_relay(server, relay),
        "dockerd": lambda: server.kill_unit("docker"),
        "node": lambda: server.kill_unit(NODE),
        "worker": lambda: (panel.kill("servers"), panel.restart_dead()),
    }
    for number, (name, kill) in enumerate(kills.items(), 1):
        download.wait_for(whole * number // 5, 400)
        kill()
        drill.say(f"{name} killed after {download.done / MB:.0f} MB")
    download.wait_for(whole, 400)
    seconds = time.monotonic() - began
    drill.figure("downloaded_mb", download.done / MB, at_least=whole / MB)
    drill.figure("rate_mb_per_s", download.done / MB / seconds)
    drill.figure("downloads_begun_again", download.failed)

    with drill.step("wait until all of it is counted"):
        metered = settled(drill, tenant) - metered_before
    received = tenant.received() - got_before
    gaps = tenant.traffic()["gaps"]
    drill.figure("received_mb", received / MB)
    drill.figure("metered_mb", metered / MB)
    drill.figure("difference", metered / received - 1)
    # The killed relay's last second is not known; everything else is.
    interval = SAMPLE_S * received / seconds
    drill.check(
        "metered_within_1_percent",
        received * (1 - SHARE) - interval <= metered <= received * (1 + SHARE),
        f"{metered} for {received}, one interval is {interval:.0f}",
    )
    drill.check("gap_is_shown", any(gap["container_id"] == relay for gap in gaps), str(gaps))
    told_again(drill, panel, tenant)
    same_as_roll_up(drill, panel, tenant)


def kill_relay(server: Server, relay: int) -> None:
    """kill -9 for the process in the container."""
    names = server.docker("ps", "--filter", f"name=relay-{relay}-g", "--format", "{{.Names}}")
    server.docker("kill", "--signal", "KILL", names.stdout.split()[0])


def told_again(drill: Drill, panel: Panel, tenant: Tenant) -> None:
    """Nodes tell everything once more, from the beginning."""
    with drill.step("let every node tell everything again, three times"):
        before = settled(drill, tenant)
        engine = create_engine(panel.database_url)
        for _ in range(3):
            panel.kill("servers")
            with engine.begin() as connection:
                connection.execute(update(ServerLink).values(cursor=None))
            panel.restart_dead()

            def heard() -> bool:
                with engine.connect() as connection:
                    silent = select(ServerLink.server_id).where(ServerLink.cursor.is_(None))
                    return not connection.execute(silent).all()

            wait_until(heard, 60, "every node was heard again")
        engine.dispose()
        after = settled(drill, tenant)
    drill.figure("counted_twice_bytes", after - before, at_most=100_000)  # keep-alives


def same_as_roll_up(drill: Drill, panel: Panel, tenant: Tenant) -> None:
    traffic = tenant.traffic()
    series = sum(one["sent_bytes"] for one in traffic["series"])
    relays = sum(relay["sent_bytes"] for relay in traffic["relays"])
    used = traffic["period"]["used_bytes"]
    drill.check("series_add_up", series == relays, f"{series} is not {relays}")
    drill.check("period_adds_up", abs(used - relays) < 100_000, f"{used} is not {relays}")


if __name__ == "__main__":
    program(play)
