"""Many callers at the same moment: an installation on a database, and a crowd of processes."""

import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import urlopen

from cryptography.fernet import Fernet

from derpman.access import service as access
from derpman.finance import service as finance
from derpman.kit.errors import DomainError
from derpman.kit.http import STATUS
from derpman.kit.work import Edge, Role, UnitOfWork
from derpman.migrations import upgrade
from derpman.rentals import service as rentals
from derpman.servers.models import Server, ServerLink, Transport
from derpman.servers.states import ServerStatus
from derpman.settings import Settings
from derpman.users import service as users
from derpman.wiring import System, assemble
from tests.system.processes import Process, spawn, wait_until
from tests.system.services import free_port

PROCESSES = 4
ANSWER_SECONDS = 120


@dataclass(frozen=True)
class Call:
    """Somebody activates a serial: over HTTP when he has an address to go to."""

    user_id: int
    code: str
    token: str
    url: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a call: `status` as HTTP has it, and the stable code when it was refused."""

    user_id: int
    status: int
    code: str
    retries: int = 0


def _address(number: int) -> str:
    """One of the networks that are nobody's: for documents, then for measurements."""
    if number <= 250:
        return f"203.0.113.{number}"
    return f"198.18.{number // 250}.{number % 250 + 1}"


def fake_servers(work: UnitOfWork, *, count: int, capacity: int) -> list[int]:
    """Add healthy servers that live in the worker's own process and relay nothing."""
    made = [
        Server(
            ip=(ip := _address(number)),
            present_ip=ip,
            public_ip=ip,
            region=f"region-{number}",
            status=ServerStatus.HEALTHY,
            transport=Transport.FAKE,
            port_from=20000,
            port_to=20999,
            capacity=capacity,
            created_at=work.now,
            updated_at=work.now,
        )
        for number in range(1, count + 1)
    ]
    work.session.add_all(made)
    work.session.flush()
    work.session.add_all(ServerLink(server_id=server.id) for server in made)
    return [server.id for server in made]


class Installation:
    """A migrated database with its settings, for this process and for others."""

    command = (sys.executable, "-m", "derpman")

    def __init__(self, url: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.environment = {
            "DERPMAN_DATA_DIR": str(folder),
            "DERPMAN_DATABASE_URL": url,
            "DERPMAN_SECRET_KEYS": Fernet.generate_key().decode(),
            "DERPMAN_LISTEN_PORT": str(free_port()),
            "DERPMAN_LOG_LEVEL": "WARNING",
        }
        self.system = system_of(self.environment)
        upgrade(self.system.engine)
        self.edge = self.system.edge()
        self.edge(finance.seed_plans)

    def add_servers(self, count: int, *, capacity: int) -> list[int]:
        """Add healthy servers of the fake transport."""
        return self.edge(fake_servers, count=count, capacity=capacity)

    def add_people(self, count: int) -> dict[int, str]:
        """Add customers who are logged in; return their tokens by their ids."""

        def add(work: UnitOfWork) -> dict[int, str]:
            people: dict[int, str] = {}
            for number in range(count):
                user = users.create(
                    work,
                    username=f"user{number}",
                    email=f"user{number}@example.com",
                    password_hash="-",
                    role=Role.USER,
                    locale="zh-CN",
                )
                people[user.id] = access.open_session(work, user_id=user.id)
            return people

        return self.edge(add)

    def serve(self) -> tuple[str, Process]:
        """Start an API process; return its address."""
        url = f"http://127.0.0.1:{self.environment['DERPMAN_LISTEN_PORT']}"
        process = spawn(
            [*self.command, "serve"],
            log=self.folder / "api.log",
            env=self.environment,
        )
        wait_until(lambda: _answers(url, process), 60, "the API answers")
        return url, process


def _answers(url: str, process: Process) -> bool:
    if not process.alive():
        raise AssertionError(f"the API ended:\n{process.tail()}")
    try:
        with urlopen(f"{url}/api/finance/plans", timeout=5) as answer:  # noqa: S310 # our own
            return answer.status == 200
    except OSError:
        return False


def system_of(environment: dict[str, str]) -> System:
    """Put the parts of a process together from the environment given."""
    os.environ.update(environment)
    return assemble(Settings())


class Crowd:
    """Processes of many threads that act at the same moment."""

    def __init__(self, environment: dict[str, str], size: int) -> None:
        # Children of a process that has imported everything and has no threads: quick and clean.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self.size = size
        self._barrier = context.Barrier(size)  # kept, or its semaphores are gone
        self._members: list[tuple[Any, Connection]] = []
        for _ in range(PROCESSES):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_member, args=(theirs, environment, self._barrier), daemon=True
            )
            process.start()
            theirs.close()
            self._members.append((process, ours))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process, connection in self._members:
            connection.close()
            process.join(5)
            if process.is_alive():
                process.kill()

    def together(self, calls: Sequence[Call]) -> list[Outcome]:
        """Make as many calls as the crowd has threads, all at the same moment."""
        assert len(calls) == self.size
        for number, (_, connection) in enumerate(self._members):
            connection.send(calls[number::PROCESSES])
        outcomes: list[Outcome] = []
        for _, connection in self._members:
            if not connection.poll(ANSWER_SECONDS):
                raise TimeoutError("a process of the crowd does not answer")
            outcomes += connection.recv()
        return outcomes


def _member(connection: Connection, environment: dict[str, str], barrier: Any) -> None:
    system = system_of(environment)
    while True:
        try:
            calls: list[Call] = connection.recv()
        except EOFError:
            return
        outcomes: list[Outcome] = []

        def one(call: Call, outcomes: list[Outcome] = outcomes) -> None:
            act = _by_http if call.url else _by_edge(system)
            barrier.wait(ANSWER_SECONDS)
            outcomes.append(act(call))

        threads = [threading.Thread(target=one, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        connection.send(outcomes)


def _by_edge(system: System) -> Callable[[Call], Outcome]:
    def act(call: Call) -> Outcome:
        retried: list[str] = []
        edge: Edge = replace(system.edge(), retried=retried.append)
        try:
            edge(rentals.activate, code=call.code, user_id=call.user_id)
        except DomainError as error:
            status = next(status for family, status in STATUS if isinstance(error, family))
            return Outcome(call.user_id, status, error.code, len(retried))
        except Exception as error:  # noqa: BLE001 # counted and printed
            return Outcome(call.user_id, 500, repr(error)[:500], len(retried))
        return Outcome(call.user_id, 200, "", len(retried))

    return act


def _by_http(call: Call) -> Outcome:
    assert call.url is not None
    place = urlsplit(call.url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=ANSWER_SECONDS)
    headers = {"Authorization": f"Bearer {call.token}", "Content-Type": "application/json"}
    try:
        body = json.dumps({"code": call.code})
        connection.request("POST", "/api/user/activate", body, headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
    except (OSError, HTTPException, ValueError) as error:
        return Outcome(call.user_id, 500, repr(error)[:500])
    finally:
        connection.close()
    code = "" if told["success"] else told["error"]["code"]
    return Outcome(call.user_id, answer.status, code)
