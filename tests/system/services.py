"""Private databases and Redis: real programs in temporary folders on free loopback ports.

As a command: python -m tests.system.services mysql|postgres COMMAND…
runs COMMAND with DERPMAN_TEST_DATABASE naming a new server, and ends with its exit status.
Where the server is not installed it says so and COMMAND is skipped.
"""

import abc
import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg
import pymysql
import redis

from tests.system.folders import Folder, remove_dead
from tests.system.processes import Impossible, Process, run, spawn, wait_until

BASE = Path(f"/var/tmp/derpman-services-{os.geteuid()}")
HOST = "127.0.0.1"
USER, PASSWORD = "derpman", "private"
_SEARCH = "/usr/sbin:/usr/bin:/usr/local/bin"


class NotInstalled(Impossible):
    """The Debian package that a service needs is missing; the message names it."""


def free_port() -> int:
    """A loopback port nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class Service(abc.ABC):
    """A server program of our own: started at once, ended and removed with `close` or `with`."""

    name: str
    package: str

    def __init__(self) -> None:
        self._require()
        remove_dead(BASE)
        self._folder = Folder(BASE)
        self.folder = self._folder.path
        self.port = free_port()
        self._process: Process | None = None
        self._numbers = itertools.count(1)
        try:
            self._install()
            self.start()
        except BaseException:
            self.close()
            raise

    @abc.abstractmethod
    def _require(self) -> None: ...

    @abc.abstractmethod
    def _install(self) -> None: ...

    @abc.abstractmethod
    def _command(self) -> list[str | Path]: ...

    @abc.abstractmethod
    def _answers(self) -> bool: ...

    @abc.abstractmethod
    def fresh(self) -> str:
        """The URL of a new and empty database."""

    def start(self) -> None:
        """Start it (again), on the same port and data, and wait until it answers."""
        self._process = spawn(self._command(), log=self.folder / "log", cwd=self.folder)

        def up() -> bool:
            if self._process and not self._process.alive():
                raise AssertionError(f"{self.name} did not start:\n{self._process.tail()}")
            return self._answers()

        wait_until(up, 60, f"{self.name} answers")

    def stop(self) -> None:
        if self._process:
            self._process.stop(30)

    def kill(self) -> None:
        """kill -9 for it and its children."""
        if self._process and self._process.alive():
            family = psutil.Process(self._process.pid).children(recursive=True)
            self._process.kill()
            for child in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            wait_until(lambda: all(_ended(child) for child in family), 10, "its children end")

    def log(self) -> str:
        return self._process.output() if self._process else ""

    def close(self) -> None:
        self.kill()
        self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _program(self, name: str, search: str = _SEARCH) -> str:
        found = shutil.which(name, path=search)
        if not found:
            raise NotInstalled(f"{name} is missing: Debian package {self.package}")
        return found


class MariaDB(Service):
    """Durable as in production (flush at every commit), otherwise set to start quickly."""

    name, package = "MariaDB", "mariadb-server"

    def _require(self) -> None:
        self._server = self._program("mariadbd")
        self._installer = self._program("mariadb-install-db")

    def _install(self) -> None:
        data = self.folder / "data"
        run(
            [
                self._installer, "--no-defaults", f"--datadir={data}", "--skip-test-db",
                "--auth-root-authentication-method=normal", *self._as_root(), *self._SMALL,
            ],
            seconds=120,
        )  # fmt: skip
        (self.folder / "init.sql").write_text(
            f"CREATE USER IF NOT EXISTS {USER}@'{HOST}' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO {USER}@'{HOST}' WITH GRANT OPTION;\n"
        )

    _SMALL = ("--innodb-log-file-size=16M", "--innodb-buffer-pool-size=64M")

    @staticmethod
    def _as_root() -> list[str]:
        return ["--user=root"] if os.geteuid() == 0 else []

    def _command(self) -> list[str | Path]:
        # Of its own: a server that starts deletes the temporary files it finds, also another's.
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return [
            self._server, "--no-defaults", f"--datadir={self.folder}/data", *self._as_root(),
            f"--tmpdir={temporary}",
            f"--bind-address={HOST}", f"--port={self.port}", f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid", f"--init-file={self.folder}/init.sql",
            "--innodb-flush-log-at-trx-commit=1", *self._SMALL, "--skip-name-resolve",
            "--character-set-server=utf8mb4", "--max-connections=600",
        ]  # fmt: skip

    def _connect(self) -> "pymysql.Connection[Any]":
        return pymysql.connect(
            host=HOST, port=self.port, user=USER, password=PASSWORD, connect_timeout=5
        )

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except pymysql.Error:
            return False
        return True

    @property
    def url(self) -> str:
        """The server, without a database."""
        return f"mysql+pymysql://{USER}:{PASSWORD}@{HOST}:{self.port}/"

    def fresh(self) -> str:
        name = f"t{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return f"{self.url}{name}?charset=utf8mb4"

    def drop(self, url: str) -> None:
        """Remove a database that `fresh` made."""
        self.execute(f"DROP DATABASE {url.rpartition('/')[2].partition('?')[0]}")

    def execute(self, statement: str) -> Sequence[Sequence[Any]]:
        """One statement as the administrator, outside any database."""
        with self._connect() as conn, conn.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()


class Postgres(Service):
    """Started as the user postgres when we are root, since it refuses to run as root."""

    name, package = "PostgreSQL", "postgresql"

    def _require(self) -> None:
        newest = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version)
        search = str(newest[-1]) if newest else ""
        self._server = self._program("postgres", search)
        self._initdb = self._program("initdb", search)

    def _as_postgres(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        # The change of user undoes what spawn asked of the kernel, so it is asked again.
        user = ["--reuid=postgres", "--regid=postgres", "--init-groups"]
        return ["setpriv", *user, "--", "setpriv", "--pdeathsig", "KILL", "--"]

    def _install(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        run(
            [
                *self._as_postgres(), self._initdb, "--no-sync", "-D", self.folder / "data",
                "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C.UTF-8",
            ],
            seconds=120,
            cwd=self.folder,
        )  # fmt: skip

    def _command(self) -> list[str | Path]:
        return [
            *self._as_postgres(), self._server, "-D", self.folder / "data", "-p", str(self.port),
            "-c", f"listen_addresses={HOST}", "-c", "unix_socket_directories=",
            "-c", "max_connections=300", "-c", "shared_buffers=64MB",
        ]  # fmt: skip

    def _connect(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(
            host=HOST, port=self.port, user=USER, dbname="postgres", connect_timeout=5,
            autocommit=True,
        )  # fmt: skip

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def url(self) -> str:
        """The server, with its maintenance database."""
        return f"postgresql+psycopg://{USER}@{HOST}:{self.port}/postgres"

    def fresh(self) -> str:
        name = f"t{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return f"{self.url.rpartition('/')[0]}/{name}"

    def drop(self, url: str) -> None:
        """Remove a database that `fresh` made, whoever is connected to it."""
        self.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def execute(self, statement: str) -> Sequence[Sequence[Any]]:
        """One statement as the administrator, in the maintenance database."""
        with self._connect() as conn:
            cursor = conn.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


class Redis(Service):
    """With its append-only file: after kill -9 it knows all but the last second."""

    name, package = "Redis", "redis-server"

    def _require(self) -> None:
        self._server = self._program("redis-server")

    def _install(self) -> None:
        pass

    def _command(self) -> list[str | Path]:
        return [
            self._server, "--bind", HOST, "--port", str(self.port), "--dir", self.folder,
            "--appendonly", "yes", "--save", "",
        ]  # fmt: skip

    def client(self) -> "redis.Redis":
        return redis.Redis(host=HOST, port=self.port, socket_timeout=5)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def fresh(self) -> str:
        with self.client() as client:
            client.flushall()
        return self.url


def _ended(process: psutil.Process) -> bool:
    """Also when it is a zombie: whoever inherited it may take seconds to notice."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _version(path: Path) -> float:
    number = path.parent.name
    return float(number) if number.replace(".", "", 1).isdigit() else 0.0


def main() -> int:
    kinds = {"mysql": MariaDB, "postgres": Postgres}
    if len(sys.argv) < 3 or sys.argv[1] not in kinds:
        sys.exit(__doc__)
    try:
        service = kinds[sys.argv[1]]()
    except NotInstalled as missing:
        print(f"skipped: {missing}", file=sys.stderr)
        return 0
    with service as server:
        env = {**os.environ, "DERPMAN_TEST_DATABASE": server.url}
        return subprocess.run(sys.argv[2:], env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
