"""Two hundred activations at the same moment over four servers: all succeed, no port twice."""

from collections import Counter
from pathlib import Path

from sqlalchemy import func, select

from derpman.containers.models import Placement, PortClaim
from derpman.containers.states import Observed
from derpman.kit.work import UnitOfWork
from derpman.rentals.models import Rental
from derpman.serials import service as serials
from derpman.servers.models import Server
from tests.drills._drill import Drill, program
from tests.drills._races import Call, Crowd, Installation
from tests.system.folders import Folder
from tests.system.processes import spawn, wait_until
from tests.system.services import MariaDB

BUDGET_S = 90
SERVERS = 4
READY_SECONDS = 60


def play(drill: Drill) -> None:
    folder = Folder(Path("/var/tmp/derpman-races"))
    drill.finally_(folder.close)
    count = drill.scaled(200, least=40)
    with drill.step(f"an installation on MariaDB with {count} customers and {SERVERS} servers"):
        installation = Installation(drill.use(MariaDB()).fresh(), folder.path / "panel")
        edge = installation.edge
        installation.add_servers(SERVERS, capacity=count)
        people = installation.add_people(count)
        made = edge(serials.generate, duration_days=30, count=count)
        calls = [
            Call(user_id, serial.code, people[user_id])
            for user_id, serial in zip(people, made, strict=True)
        ]
    crowd = drill.use(Crowd(installation.environment, count))
    with drill.step(f"{count} activations at once"):
        results = crowd.together(calls)
    drill.say(str(Counter((result.status, result.code) for result in results)))
    drill.figure("activations", sum(result.status == 200 for result in results), equals=count)
    drill.figure("retries", sum(result.retries for result in results))
    drill.figure("most_retries_of_one", max(result.retries for result in results))
    drill.figure("rentals", edge.read(_count, Rental), equals=count)
    drill.figure("relays", edge.read(_count, Placement), equals=3 * count)
    drill.figure("ports_twice", edge.read(_ports_twice), equals=0)
    drill.figure("relays_without_their_port", edge.read(_unclaimed), equals=0)
    drill.figure("customers_without_three_servers", edge.read(_not_on_three), equals=0)
    drill.figure("servers_miscounted", edge.read(_miscounted), equals=0)
    with drill.step("the nodes are told, and every relay becomes ready"):
        worker = spawn(
            [*installation.command, "worker", "--only", "servers"],
            log=installation.folder / "servers.log",
            env=installation.environment,
        )
        drill.finally_(worker.stop)
        wait_until(
            lambda: edge.read(_ready) == 3 * count or not worker.alive(), READY_SECONDS, "all ready"
        )
        drill.figure("relays_ready", edge.read(_ready), equals=3 * count)
    worker.stop()


def _count(work: UnitOfWork, table) -> int:
    return work.session.scalar(select(func.count(table.id))) or 0


def _ready(work: UnitOfWork) -> int:
    found = select(func.count(Placement.id)).where(Placement.observed == Observed.READY)
    return work.session.scalar(found) or 0


def _ports_twice(work: UnitOfWork) -> int:
    pairs = work.session.execute(select(Placement.server_id, Placement.port)).all()
    return len(pairs) - len(set(pairs))


def _unclaimed(work: UnitOfWork) -> int:
    placed = work.session.execute(select(Placement.id, Placement.server_id, Placement.port))
    claimed = work.session.execute(
        select(PortClaim.placement_id, PortClaim.server_id, PortClaim.port)
    )
    return len({tuple(row) for row in placed} ^ {tuple(row) for row in claimed})


def _not_on_three(work: UnitOfWork) -> int:
    servers: dict[int, set[int]] = {}
    for user_id, server_id in work.session.execute(select(Placement.user_id, Placement.server_id)):
        servers.setdefault(user_id, set()).add(server_id)
    return sum(len(own) != 3 for own in servers.values())


def _miscounted(work: UnitOfWork) -> int:
    counted = Counter(work.session.scalars(select(Placement.server_id)))
    rows = work.session.execute(select(Server.id, Server.relay_count))
    return sum(counted[server_id] != count for server_id, count in rows)


if __name__ == "__main__":
    program(play)
