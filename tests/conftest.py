"""A migrated database for each test, a clock that can be moved, and the cast."""

from __future__ import annotations

import gc
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import event, func, make_url, select, text

from derpman.kit.db import engine_for
from derpman.kit.secrets import Vault
from derpman.kit.work import Actor, Edge, Role
from derpman.migrations import upgrade
from derpman.settings import Settings
from derpman.wiring import System

if TYPE_CHECKING:
    from starlette.testclient import TestClient

DATABASE = os.environ.get("DERPMAN_TEST_DATABASE", "")
"""A server's SQLAlchemy URL (mysql+pymysql://… or postgresql+psycopg://…); empty: SQLite."""


gc.disable()  # until everything is imported: it takes a fifth of the time till then


def pytest_collection_finish() -> None:
    """Look for garbage from now on, but not among modules, and seldom: each test makes much."""
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a server run only the tests that use it; the others ran beside SQLite."""
    if not DATABASE:
        return
    used = [one for one in items if "database_url" in getattr(one, "fixturenames", ())]
    config.hook.pytest_deselected(items=[one for one in items if one not in used])
    items[:] = used


class MovableClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


class HeardWake:
    """Keeps the topics that were sent."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    def send(self, topics: object) -> None:
        self.topics += list(topics)  # type: ignore[call-overload]

    def listen(self, heard: Callable[[str], None]) -> Callable[[], None]:
        return lambda: None


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "migrated.sqlite"
    engine = engine_for(f"sqlite:///{path}")
    upgrade(engine)
    with engine.connect() as connection:
        connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def migrated_server() -> Iterator[str]:
    """Migrate one database of the server under test; each test empties what the last one left."""
    server = make_url(DATABASE)
    name = f"derpman_{uuid.uuid4().hex[:12]}"
    admin = engine_for(server)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = engine_for(server.set(database=name))
    upgrade(engine)
    engine.dispose()
    yield server.set(database=name).render_as_string(hide_password=False)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"DROP DATABASE {name}"))
    admin.dispose()


def empty(url: str) -> None:
    """Delete every row that tests write; what migrations and seeds wrote is written again.

    Only tables that have rows are emptied: truncating all of them takes a second.
    """
    from derpman.kit.db import Base

    engine = engine_for(url)
    with engine.begin() as connection:
        names = [table.name for table in reversed(Base.metadata.sorted_tables)]
        look = " UNION ALL ".join(
            f"SELECT '{name}' FROM (SELECT 1) AS one WHERE EXISTS (SELECT 1 FROM {name})"  # noqa: S608 # our own names
            for name in names
        )
        filled = connection.scalars(text(look)).all()
        if engine.dialect.name == "postgresql":
            # Neither foreign keys nor the triggers that keep logs from being changed.
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            for name in filled:
                connection.execute(text(f"DELETE FROM {name}"))  # noqa: S608 # our own names
            connection.execute(
                text("SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'")
            )
        else:
            # What a test rolled back has counted all the same; ids begin at 1 in every test.
            counted = connection.scalars(
                text(
                    "SELECT table_name FROM information_schema.tables "
                    "WHERE table_schema = DATABASE() AND auto_increment > 1"
                )
            )
            connection.execute(text("SET foreign_key_checks=0"))
            for name in {*filled, *counted} & {*names}:
                connection.execute(text(f"TRUNCATE {name}"))
            connection.execute(text("SET foreign_key_checks=1"))
    engine.dispose()


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if DATABASE:
        url: str = request.getfixturevalue("migrated_server")
        empty(url)
        return url
    copy = tmp_path / "test.sqlite"
    shutil.copyfile(request.getfixturevalue("migrated_sqlite"), copy)
    return f"sqlite:///{copy}"


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def heard() -> HeardWake:
    """Which wake-ups were sent."""
    return HeardWake()


@pytest.fixture
def system(
    database_url: str, tmp_path: Path, clock: MovableClock, heard: HeardWake
) -> Iterator[System]:
    key = Fernet.generate_key().decode()
    settings = Settings(
        _env_file=None,  # pyright: ignore[reportCallIssue] # pydantic-settings takes it
        data_dir=tmp_path / "data",
        web_dir=tmp_path / "no-pages",
        database_url=database_url,  # pyright: ignore[reportArgumentType] # becomes a SecretStr
        secret_keys=key,  # pyright: ignore[reportArgumentType] # becomes a SecretStr
        public_url="https://derp.example",
    )
    settings.data_dir.mkdir()
    engine = engine_for(database_url)
    system = System(settings, engine, Vault([key]), heard, clock)
    seed(system.edge())
    yield system
    engine.dispose()


def seed(edge: Edge) -> None:
    """Write what an empty installation has after `derpman db upgrade`."""
    from derpman.finance import service as finance

    edge(finance.seed_plans)


@pytest.fixture
def edge(system: System) -> Edge:
    """An edge that acts as the system."""
    return system.edge()


@pytest.fixture
def edge_of(system: System) -> Callable[[Actor], Edge]:
    return system.edge


@pytest.fixture
def client(system: System) -> Iterator[TestClient]:
    """The web application, called without a network."""
    from starlette.testclient import TestClient

    from derpman.api import create_app

    app = create_app(system)
    app.state.gate.doorkeeper.cache_seconds = 0  # an ended session is noticed at once
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def statements(system: System) -> list[str]:
    """What the database is asked, one text for each statement; clear it where counting begins."""
    asked: list[str] = []

    @event.listens_for(system.engine, "before_cursor_execute")
    def hear(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            asked.append(statement)

    return asked


@pytest.fixture
def follow(system: System, heard: HeardWake) -> Callable[..., None]:
    """Run what is due, as dispatcher and worker would: `follow("users.")`, those tasks only."""
    from derpman.kit.dispatch import Dispatcher
    from derpman.worker import celery_app

    app = celery_app(system)
    app.loader.import_default_modules()

    def run(*prefixes: str) -> None:
        def send(task: str, delivery_id: int) -> None:
            if task.startswith(prefixes):
                app.tasks[task](delivery_id)

        while Dispatcher(system.edge(), heard, send).dispatch_due():
            pass

    return run


@dataclass(frozen=True)
class QueuedMail:
    """A mail as its reader will see it, with what it opens."""

    template: str
    locale: str
    subject: str
    text: str
    secrets: dict[str, str]


@pytest.fixture
def mails(system: System) -> Callable[[str], list[QueuedMail]]:
    """Read the mails queued for an address, the oldest first: `mails("carl@example.com")`."""
    from derpman.notifications.models import Mail

    def read(address: str) -> list[QueuedMail]:
        with system.sessions.reading() as session:
            rows = session.scalars(
                select(Mail).where(func.lower(Mail.address) == address).order_by(Mail.id)
            )
            return [
                QueuedMail(
                    row.template,
                    row.locale,
                    row.subject,
                    row.text,
                    json.loads(system.vault.open(row.secrets)) if row.secrets else {},
                )
                for row in rows
            ]

    return read


PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Person:
    """Somebody of the cast, logged in."""

    id: int
    username: str
    email: str
    role: Role
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def actor(self) -> Actor:
        return Actor(role=self.role, user_id=self.id, name=self.username, ip="198.51.100.7")


@pytest.fixture(scope="session")
def password_hash() -> str:
    from derpman.kit import passwords

    return passwords.hash(PASSWORD)


@pytest.fixture
def person(edge: Edge, password_hash: str) -> Callable[..., Person]:
    """Make an account and log it in: `person("dora", Role.ADMIN)`."""
    from derpman.access import service as access
    from derpman.users import service as users

    def make(username: str, role: Role = Role.USER, locale: str = "zh-CN") -> Person:
        user = edge(
            users.create,
            username=username,
            email=f"{username}@example.com",
            password_hash=password_hash,
            role=role,
            locale=locale,
        )
        token = edge(access.open_session, user_id=user.id)
        return Person(user.id, username, user.email, role, token)

    return make


@pytest.fixture
def root(person: Callable[..., Person]) -> Person:
    return person("root_", Role.SUPER_ADMIN)


@pytest.fixture
def rita(person: Callable[..., Person]) -> Person:
    return person("rita", Role.DISTRIBUTOR)


@pytest.fixture
def carl(person: Callable[..., Person]) -> Person:
    return person("carl")


@pytest.fixture
def eve(person: Callable[..., Person]) -> Person:
    return person("eve")


@pytest.fixture
def add_server(edge: Edge) -> Callable[..., int]:
    """Add a healthy server of the fake transport; return its id."""
    from derpman.servers.models import Server, ServerLink, Transport
    from derpman.servers.states import ServerStatus

    made = 0

    def make(region: str | None = None, **columns: object) -> int:
        nonlocal made
        made += 1
        ip = f"203.0.113.{made}"
        values: dict[str, object] = {
            "ip": ip,
            "present_ip": ip,
            "public_ip": ip,
            "region": region or f"region-{made}",
            "status": ServerStatus.HEALTHY,
            "transport": Transport.FAKE,
            "port_from": 20000,
            "port_to": 29999,
            "capacity": 100,
        }

        def insert(work: object) -> int:
            session, now = work.session, work.now  # type: ignore[attr-defined]
            server = Server(**{**values, **columns}, created_at=now, updated_at=now)
            session.add(server)
            session.flush()
            session.add(ServerLink(server_id=server.id))
            return server.id

        return edge(insert)

    return make


@pytest.fixture
def moved(edge: Edge) -> Callable[[datetime], Edge]:
    """Return the system's edge at another instant."""
    return lambda now: replace(edge, clock=lambda: now)
