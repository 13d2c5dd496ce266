"""One serial, a hundred customers at the same moment, on three databases: exactly one gets it."""

from collections import Counter
from pathlib import Path

from sqlalchemy import func, select

from derpman.containers.models import Placement
from derpman.rentals import service as rentals
from derpman.rentals.models import Rental
from derpman.serials import service as serials
from derpman.serials.models import Serial
from tests.drills._drill import Drill, program
from tests.drills._races import Call, Crowd, Installation
from tests.system.folders import Folder
from tests.system.services import MariaDB, Postgres

BUDGET_S = 120
PEOPLE = 100
BY_HTTP = 20
REFUSED = (409, "serial.used")


def play(drill: Drill) -> None:
    folder = Folder(Path("/var/tmp/derpman-races"))
    drill.finally_(folder.close)
    count = drill.scaled(50, least=3)
    race(drill, "sqlite", f"sqlite:///{folder.path}/race.sqlite", folder.path, count)
    race(drill, "mariadb", drill.use(MariaDB()).fresh(), folder.path, count)
    race(drill, "postgres", drill.use(Postgres()).fresh(), folder.path, count)


def race(drill: Drill, name: str, url: str, folder: Path, count: int) -> None:
    with drill.step(f"{name}: an installation with {PEOPLE} customers"):
        installation = Installation(url, folder / name)
        installation.add_servers(4, capacity=100)
        people = installation.add_people(PEOPLE)
        codes = [serial.code for serial in installation.edge(_generate, count)]
        address, api = installation.serve()
        drill.finally_(api.stop)
    outcomes: Counter[tuple[int, str]] = Counter()
    wrong = retries = 0
    with drill.step(f"{name}: {count} serials"), Crowd(installation.environment, PEOPLE) as crowd:
        for code in codes:
            order = list(people)
            drill.random.shuffle(order)
            by_http = set(order[:BY_HTTP])
            calls = [
                Call(user_id, code, people[user_id], address if user_id in by_http else None)
                for user_id in order
            ]
            results = crowd.together(calls)
            retries += sum(result.retries for result in results)
            outcomes.update((result.status, result.code) for result in results)
            winners = [result.user_id for result in results if result.status == 200]
            others = {(result.status, result.code) for result in results if result.status != 200}
            held = installation.edge.read(_holders, code)
            if len(winners) != 1 or others != {REFUSED} or held != winners:
                wrong += 1
                drill.say(f"{code[:5]}…: winners {winners}, holders {held}, others {others}")
            for user_id in winners:
                installation.edge(rentals.end_of_user, user_id=user_id, reason="next round")
    drill.say(f"{name}: {dict(outcomes)}")
    drill.figure(f"{name}_serials", count)
    drill.figure(f"{name}_successes", outcomes[200, ""], equals=count)
    drill.figure(f"{name}_refused_409", outcomes[REFUSED], equals=count * (PEOPLE - 1))
    drill.figure(f"{name}_wrong", wrong, equals=0)
    drill.figure(f"{name}_rentals", installation.edge.read(_count, Rental), equals=count)
    drill.figure(f"{name}_relays", installation.edge.read(_count, Placement), equals=3 * count)
    drill.figure(f"{name}_retries", retries)
    api.stop()
    installation.system.engine.dispose()


def _generate(work, count):
    return serials.generate(work, duration_days=30, count=count)


def _holders(work, code):
    found = select(Serial.user_id).where(Serial.code == code, Serial.status == "used")
    return list(work.session.scalars(found))


def _count(work, table):
    return work.session.scalar(select(func.count(table.id)))


if __name__ == "__main__":
    program(play)
