"""A backup is taken under load, the panel is lost, an empty machine takes over from the file."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from tests.drills._drill import Drill, program
from tests.drills._panel import Account, Panel, activate
from tests.system import derp
from tests.system.fleet import Fleet, Server
from tests.system.processes import wait_until

BUDGET_S = 300
RECONCILE_S = 60
WORDS = "correct horse battery\n"


class Restored(Panel):
    """A panel on an empty machine, with an empty database, filled from a backup."""

    def __init__(self, host: str, copy: Path, words: Path) -> None:
        super().__init__(host=host)
        self._copy = copy
        self._words = words
        self.restore_s = 0.0

    def _fill(self) -> None:
        began = time.monotonic()
        self.cli("restore", str(self._copy), "--passphrase-file", str(self._words))
        self.restore_s = time.monotonic() - began
        self.restored_at = time.monotonic()


def play(drill: Drill) -> None:
    with drill.step("stand up three servers, a panel, and customers with relays"):
        fleet = drill.use(Fleet(servers=3, clients=1))
        panel = Panel(host=fleet.panel_address)
        drill.use(panel)
        key = fleet.admin_key.read_text()
        panel.wait_for_servers([panel.add_server(server, key) for server in fleet.servers])
        count = drill.scaled(20, least=4)
        people = [customer(panel, f"early{number}") for number in range(count)]
    words, copy = panel.folder / "words", panel.folder / "drill.backup"
    words.write_text(WORDS)
    latecomers: list[Account] = []
    with drill.step("take a backup while more customers come"):
        ended = threading.Event()

        def come() -> None:
            while not ended.is_set():
                latecomers.append(customer(panel, f"late{len(latecomers)}"))

        thread = threading.Thread(target=come)
        thread.start()
        wait_until(lambda: latecomers, 60, "customers come")
        began = time.monotonic()
        drill.say(panel.cli("backup", str(copy), "--passphrase-file", str(words)).strip())
        drill.figure("backup_s", time.monotonic() - began)
        so_far = len(latecomers)
        wait_until(lambda: len(latecomers) >= so_far + 2, 120, "more come after the backup")
        ended.set()
        thread.join(120)
    drill.figure("backup_mb", copy.stat().st_size / 1e6)
    drill.figure("came_while_it_was_taken", len(latecomers), at_least=3)
    running = {server.name: containers(server) for server in fleet.servers}
    with drill.step("the panel is lost with its database"):
        panel.kill(*panel.parts)
        kept = panel.folder.with_name(f"{panel.folder.name}-kept")
        kept.mkdir()
        for one in (words, copy):
            one.rename(kept / one.name)
        drill.finally_(lambda: _remove(kept))
        panel.close()
    with drill.step("an empty machine takes over"):
        restored = Restored(fleet.panel_address, kept / copy.name, kept / words.name)
        drill.use(restored)
        drill.figure("restore_s", restored.restore_s)
    with drill.step("it and the servers agree"):
        servers = {server["ip"]: server["id"] for server in listed(restored)}

        def agree() -> bool:
            return all(
                containers(server) == wanted(restored, servers[server.address])
                for server in fleet.servers
            )

        wait_until(agree, RECONCILE_S * 3, "containers are as wished")
        drill.figure("reconcile_s", time.monotonic() - restored.restored_at, at_most=RECONCILE_S)
    states = [one for server_id in servers.values() for one in placements(restored, server_id)]
    drill.figure("relays_wanted", len(states), at_least=3 * count)
    bad = [one for one in states if one["observed"] != "ready"]
    drill.figure("relays_not_ready", len(bad), equals=0)
    gone = {name: len(some - containers(fleet.server(name))) for name, some in running.items()}
    drill.figure("orphans_removed", gone)
    kept_on = sum(len(some & containers(fleet.server(name))) for name, some in running.items())
    drill.figure("containers_left_as_they_were", kept_on, at_least=3 * count)
    judge(drill, fleet, restored, people)


def judge(drill: Drill, fleet: Fleet, restored: Restored, people: list[Account]) -> None:
    """Sessions, devices, keys and new business are as if nothing had happened."""
    first = people[0]
    again = Account(restored, first.id, first.email, first.token)
    drill.check("an_old_session_holds", again.get("/api/user/me")["user"]["id"] == first.id)
    mine, foreign = first.extra["key"], derp.new_key()
    slot = first.extra["rental"]["slots"][0]
    place = slot["address"], slot["port"]
    wait_until(
        lambda: fleet["c1"].call(derp.is_admitted, *place, mine), 30, "the old device is let in"
    )
    drill.check("a_stranger_is_refused", not fleet["c1"].call(derp.is_admitted, *place, foreign))
    new = customer(restored, "after")
    drill.check("a_new_customer_is_served", bool(new.extra["rental"]["is_ready"]))
    drill.say(restored.cli("logs", "verify").strip())


def customer(panel: Panel, name: str) -> Account:
    """Somebody with three relays and a device."""
    account = panel.customer(name)
    activate(account, panel.serials()[0])
    account.extra["key"] = derp.new_key()
    node_key = derp.node_key(account.extra["key"])
    account.post("/api/security/devices", node_key=node_key, name="laptop")
    return account


def containers(server: Server) -> set[str]:
    """The relays that Docker runs there, by name."""
    said = server.docker("ps", "--format", "{{.Names}}", "--filter", "label=derpman.relay.id")
    return set(said.stdout.split())


def listed(panel: Panel) -> list[dict[str, Any]]:
    return panel.admin.get("/api/server/list", limit=50)["servers"]


def placements(panel: Panel, server_id: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    more: dict[str, Any] = {}
    while True:
        page = panel.admin.get(
            "/api/container/list", server_id=server_id, wanted="running", limit=200, **more
        )
        found += page["containers"]
        if page["next_before"] is None:
            return found
        more = {"before": page["next_before"]}


def wanted(panel: Panel, server_id: int) -> set[str]:
    return {
        f"relay-{one['container_id']}-g{one['generation']}" for one in placements(panel, server_id)
    }


def _remove(folder: Path) -> None:
    for one in folder.iterdir():
        one.unlink()
    folder.rmdir()


if __name__ == "__main__":
    program(play)
