"""kill -9 at every step of activation and release: everything is complete within 30 seconds."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine, RowMapping

from tests.drills._drill import Drill, program
from tests.drills._panel import PARTS, Account, Panel, Refused
from tests.drills.main_job import add_servers
from tests.system import derp
from tests.system.fleet import Fleet, Server
from tests.system.processes import NotInTime, wait_until

BUDGET_S = 400
COMPLETE_S = 30
INJECT = Path(__file__).parent / "inject"
NODE = "derpman-node.service"
DATABASE_PARTS = ("api", "servers", "dispatcher", "tasks")


class Scene:
    """A fleet, a panel whose processes die on demand, and customers that come and go."""

    def __init__(self, drill: Drill) -> None:
        self.drill = drill
        self.fleet = drill.use(Fleet(servers=4, clients=0))
        self.traps = self.fleet.folder / "steps"
        self.traps.mkdir()
        environment = {"PYTHONPATH": str(INJECT), "DERPMAN_DRILL_STEPS": str(self.traps)}
        self.panel = drill.use(Panel(host=self.fleet.panel_address, environment=environment))
        add_servers(self.panel, self.fleet)
        self.engine: Engine = create_engine(self.panel.database_url)
        drill.finally_(self.engine.dispose)
        self.kills: Counter[str] = Counter()
        self.slowest = 0.0

    def rows(self, sql: str, **values: Any) -> list[RowMapping]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(sql), values).mappings())

    def set_trap(self, part: str, step: int) -> None:
        (self.traps / part).write_text(str(step))

    def is_armed(self, part: str) -> bool:
        return (self.traps / part).exists()

    def disarm(self, part: str) -> None:
        (self.traps / part).unlink(missing_ok=True)

    def steps_of(self, part: str, action: Callable[[], object]) -> int:
        """Count the database steps that a part takes during an action."""
        far = 1_000_000
        self.set_trap(part, far)
        action()
        left = int((self.traps / part).read_text())
        (self.traps / part).unlink()
        return far - left


def play(drill: Drill) -> None:
    with drill.step("stand up four servers and a panel that can be killed at any step"):
        scene = Scene(drill)
    kills = drill.scaled(120, least=10)
    customer = scene.panel.customer("victim")
    steps = {"api": 0, "servers": 0, "dispatcher": 0, "tasks": 0}
    with drill.step("count the steps of one activation and release"):
        for part in DATABASE_PARTS:
            steps[part] = max(4, scene.steps_of(part, lambda: one_round(scene, customer)))
    drill.say(f"database steps of each part: {steps}")
    kinds = ["api", "servers", "dispatcher", "tasks", "node"]
    with drill.step(f"{kills} kills"):
        for number in range(kills * 2):  # a trap that is set after the part's last step is lost
            part = kinds[number % len(kinds)]
            share = (number // len(kinds) + drill.random.random()) / (kills / len(kinds)) % 1
            kill_once(scene, customer, part, share, steps.get(part, 0))
            if sum(scene.kills.values()) >= kills:
                break
    drill.figure("kills", sum(scene.kills.values()), at_least=kills)
    drill.figure("kills_of", dict(scene.kills))
    drill.figure("slowest_to_complete_s", scene.slowest, at_most=COMPLETE_S)
    settle(scene)
    double = scene.rows(
        "SELECT serial_id, COUNT(*) n FROM rentals GROUP BY serial_id HAVING COUNT(*) > 1"
    )
    drill.figure("double_spent", len(double), equals=0)
    shared = scene.rows(
        "SELECT server_id, port, COUNT(*) n FROM user_containers WHERE gone_at IS NULL "
        "GROUP BY server_id, port HAVING COUNT(*) > 1"
    )
    drill.figure("shared_ports", len(shared), equals=0)
    drill.figure("leaked_containers", len(leaked(scene)), equals=0)
    without_panel(drill, scene)


def one_round(scene: Scene, customer: Account) -> None:
    [code] = scene.panel.serials()
    customer.post("/api/user/activate", code=code)
    wait_complete(scene)
    end(scene, customer)
    wait_complete(scene)


def end(scene: Scene, customer: Account) -> None:
    scene.panel.admin.post(f"/api/user/{customer.id}/rental/end", reason="drill")


def kill_once(scene: Scene, customer: Account, part: str, share: float, steps: int) -> None:
    """One activation and one release, with one kill at `share` of the way through both."""
    [code] = scene.panel.serials()
    victim = scene.drill.random.choice(scene.fleet.servers)
    if part != "node":
        scene.set_trap(part, 1 + int(share * steps))
    with contextlib.suppress(Refused, httpx.TransportError):
        customer.post("/api/user/activate", code=code)
    if part == "node" and share < 0.5:
        kill_node(scene, victim, share * 2)
    complete(scene)
    with contextlib.suppress(Refused, httpx.TransportError):
        end(scene, customer)
    if part == "node" and share >= 0.5:
        kill_node(scene, victim, share * 2 - 1)
    complete(scene)
    if part in ("tasks", "dispatcher"):  # they come to their steps a moment later
        with contextlib.suppress(NotInTime):
            wait_until(lambda: not scene.is_armed(part) or not undelivered(scene), 5, "its steps")
        complete(scene)
    scene.disarm(part)
    while rental(scene, customer) is not None:  # the kill took the wish to end it
        with contextlib.suppress(Refused, httpx.TransportError):
            end(scene, customer)
        complete(scene)


def kill_node(scene: Scene, victim: Server, after_seconds: float) -> None:
    time.sleep(after_seconds)  # its part of an activation or a release takes less than a second
    victim.kill_unit(NODE)
    scene.kills["node"] += 1


def complete(scene: Scene) -> None:
    """Start what died, as systemd would, and wait until wishes and servers agree."""
    began = time.monotonic()

    def done() -> bool:
        dead = scene.panel.restart_dead()
        for part in dead:
            scene.kills[part] += 1
        return not dead and scene.panel.answers() and not incomplete(scene)

    try:
        wait_until(done, COMPLETE_S + 15, "everything is complete")
    except NotInTime:
        for problem in incomplete(scene):
            scene.drill.say(problem)
        for part in scene.panel.parts:
            scene.drill.say(f"{part}: {scene.panel.log(part)[-3000:]}")
        raise
    scene.slowest = max(scene.slowest, time.monotonic() - began)


def wait_complete(scene: Scene) -> None:
    wait_until(lambda: not incomplete(scene), COMPLETE_S, "everything is complete")


def rental(scene: Scene, customer: Account) -> RowMapping | None:
    found = scene.rows("SELECT * FROM rentals WHERE open_user_id = :id", id=customer.id)
    return found[0] if found else None


def incomplete(scene: Scene) -> list[str]:
    """What the database wants and the servers have not done, in words."""
    problems = [
        f"placement {row['id']}: wanted {row['wanted']}, is {row['observed']}"
        for row in scene.rows(
            "SELECT id, wanted, observed, gone_at FROM user_containers WHERE gone_at IS NULL"
        )
        if not (row["wanted"] == "running" and row["observed"] == "ready")
    ]
    problems += [
        f"serial {row['id']} is used and has no rental"
        for row in scene.rows(
            "SELECT s.id FROM serial_numbers s LEFT JOIN rentals r ON r.serial_id = s.id "
            "WHERE s.status = 'used' AND r.id IS NULL"
        )
    ]
    problems += [
        f"rental {row['rental_id']} has {row['n']} relays"
        for row in scene.rows(
            "SELECT r.id rental_id, COUNT(c.id) n FROM rentals r LEFT JOIN user_containers c "
            "ON c.rental_id = r.id AND c.wanted = 'running' WHERE r.status = 'active' "
            "GROUP BY r.id HAVING COUNT(c.id) <> 3"
        )
    ]
    return problems


def settle(scene: Scene) -> None:
    with scene.drill.step("let everything settle"):
        scene.panel.restart_dead()
        wait_until(lambda: not leaked(scene), COMPLETE_S, "no leaked container")
        # What a killed task had begun is sent again when it is overdue, after a minute.
        try:
            wait_until(lambda: not undelivered(scene), 200, "every delivery is done")
        except NotInTime:
            for row in undelivered(scene):
                scene.drill.say(str(dict(row)))
            scene.drill.say(scene.panel.log("tasks")[-6000:])
            scene.drill.say(scene.panel.log("dispatcher")[-3000:])
            raise


def undelivered(scene: Scene) -> list[RowMapping]:
    return scene.rows("SELECT * FROM deliveries WHERE status <> 'done'")


def leaked(scene: Scene) -> list[str]:
    """Containers that no placement wants, and placements without one."""
    wanted = {
        (row["ip"], f"relay-{row['id']}-g{row['generation']}")
        for row in scene.rows(
            "SELECT c.id, c.generation, s.ip FROM user_containers c JOIN servers s "
            "ON s.id = c.server_id WHERE c.wanted = 'running'"
        )
    }
    there = {
        (server.address, name)
        for server in scene.fleet.servers
        for name in server.docker(
            "ps", "--all", "--filter", "name=relay-", "--format", "{{.Names}}"
        ).stdout.split()
    }
    return sorted(map(str, wanted ^ there))


def without_panel(drill: Drill, scene: Scene) -> None:
    """Everything that must hold while no part of the panel runs."""
    customer = scene.panel.customer("alone")
    [code] = scene.panel.serials()
    customer.post("/api/user/activate", code=code)
    wait_complete(scene)
    keep, gone = derp.new_key(), derp.new_key()
    for key, name in ((keep, "keep"), (gone, "gone")):
        customer.post("/api/security/devices", node_key=derp.node_key(key), name=name)
    devices = customer.get("/api/security/devices")["devices"]
    slots: list[dict[str, Any]] = customer.get("/api/user/rental")["rental"]["slots"]
    relays = [(slot["address"], slot["port"]) for slot in slots]

    def admitted(key: Any) -> list[bool]:
        return [derp.is_admitted(address, port, key) for address, port in relays]

    wait_until(lambda: all(admitted(keep)), 15, "the devices are let in")
    removed = next(device for device in devices if device["name"] == "gone")
    customer.post(f"/api/security/devices/{removed['id']}/remove")
    wait_until(lambda: not any(admitted(gone)), 15, "the removed device is refused")
    expiring = slots[2]
    expires_in = 30 if drill.scale < 1 else 60
    with scene.engine.begin() as connection:
        # The clock cannot be moved on real servers, so the wish is: this relay ends soon.
        connection.execute(
            text(
                "UPDATE user_containers SET expires_at = UTC_TIMESTAMP(6) + INTERVAL :s SECOND "
                "WHERE id = :id"
            ),
            {"id": expiring["container_id"], "s": expires_in},
        )
        connection.execute(
            text("UPDATE servers SET desired_generation = desired_generation + 1 WHERE id = :id"),
            {"id": expiring["server_id"]},
        )
    expiry = time.monotonic() + expires_in
    wait_until(
        lambda: (
            not scene.rows(
                "SELECT s.id FROM servers s JOIN server_links l ON l.server_id = s.id "
                "WHERE s.desired_generation <> l.applied_generation"
            )
        ),
        15,
        "the nodes know the expiry",
    )
    with drill.step("stop the panel altogether"):
        scene.panel.kill("api", *PARTS)
    servers = {server.address: server for server in scene.fleet.servers}
    first = servers[slots[0]["address"]]
    drill.check("admits_without_panel", all(admitted(keep)))
    drill.check("refuses_without_panel", not any(admitted(gone)))

    name = f"relay-{slots[0]['container_id']}-g1"
    first.docker("kill", name)
    began = time.monotonic()
    address, port = relays[0]
    wait_until(lambda: derp.is_admitted(address, port, keep), 15, "the killed relay is back")
    drill.figure("relay_back_s", time.monotonic() - began, at_most=2)

    with drill.step("kill the node, and let its server restart with an empty /run"):
        first.kill_unit(NODE)
        wait_until(lambda: derp.is_admitted(address, port, keep), 15, "admitted after the kill")
        drill.check("node_killed_stays_out", not derp.is_admitted(address, port, gone))
        first.docker("kill", name)
        began = time.monotonic()
        wait_until(lambda: derp.is_admitted(address, port, keep), 15, "back after the kill")
        drill.figure("relay_back_after_node_kill_s", time.monotonic() - began, at_most=2)
        second = servers[slots[1]["address"]]
        second.reboot()
        address, port = relays[1]
        wait_until(lambda: derp.is_admitted(address, port, keep), 60, "admitted after a restart")
        drill.check("restart_stays_out", not derp.is_admitted(address, port, gone))
    left = expiry - time.monotonic()
    address, port = relays[2]
    if left > 2:
        drill.check("runs_until_expiry", derp.is_admitted(address, port, keep))
    wait_until(
        lambda: not derp.is_admitted(address, port, keep), max(left, 0) + 15, "expiry stops it"
    )
    drill.figure("stopped_after_expiry_s", time.monotonic() - expiry, at_most=5)


if __name__ == "__main__":
    program(play)
