"""The only place that knows database dialects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from sqlite3 import Connection as SQLiteConnection
from typing import Any, ClassVar, cast

from sqlalchemy import CursorResult, Dialect, Double, Engine, MetaData, create_engine, event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.compiler import DDLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.types import TypeEngine

SQLITE_BUSY_MS = 15_000
# 1205 lock wait timeout, 1213 deadlock, 1020 record changed since the snapshot (MariaDB).
MYSQL_TRY_AGAIN = {1020, 1205, 1213}
# serialization failure, deadlock detected, lock not available
POSTGRES_TRY_AGAIN = {"40001", "40P01", "55P03"}


class Base(DeclarativeBase):
    """The tables of every module; names of constraints are fixed so that migrations find them."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        float: Double()
    }  # MySQL's FLOAT keeps seven digits
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


@compiles(CreateTable, "mysql", "mariadb")
def _create_on_mysql(create: CreateTable, compiler: DDLCompiler, **kw: Any) -> str:
    """Compare text byte by byte, as SQLite and PostgreSQL do.

    What ignores case has a key column.
    """
    statement = compiler.visit_create_table(create, **kw).rstrip()
    return f"{statement} ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin\n\n"


def engine_for(url: str | URL, *, pool_size: int = 10, max_overflow: int = 30) -> Engine:
    """Return an engine with what each dialect needs to be correct under concurrency.

    `pool_size + max_overflow` must not be below the number of threads that use it: FastAPI runs
    `def` routes on 40, and waiting for a connection while holding a thread is a deadlock.
    """
    url = make_url(url)
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, pool_size, max_overflow)
    options: dict[str, Any] = {
        "pool_size": pool_size,
        "max_overflow": max_overflow,
        "pool_pre_ping": True,
        "pool_recycle": 1800,
    }
    if url.get_backend_name() in ("mysql", "mariadb"):
        options["isolation_level"] = "READ COMMITTED"
        options["connect_args"] = {
            "charset": "utf8mb4",
            "connect_timeout": 5,
            "init_command": "SET time_zone='+00:00', innodb_lock_wait_timeout=10, "
            "sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
        }
    return create_engine(url, hide_parameters=True, **options)  # they would be in errors and logs


def _sqlite(url: URL, pool_size: int, max_overflow: int) -> Engine:
    options: dict[str, Any] = {}
    if url.database and url.database != ":memory:":
        options = {"pool_size": pool_size, "max_overflow": max_overflow}
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"timeout": SQLITE_BUSY_MS / 1000, "check_same_thread": False},
        **options,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: SQLiteConnection, _record: object) -> None:  # pyright: ignore[reportUnusedFunction] # registered by the decorator
        connection.isolation_level = None  # we begin transactions ourselves, see below
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_MS}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction] # registered by the decorator
        # A deferred transaction that turns from reading to writing fails at once, whatever the
        # busy timeout; one that will write says so at its beginning.
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


class Sessions:
    """Makes sessions: for writing, and for reading only (which never wait for a writer)."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._write = sessionmaker(engine, expire_on_commit=False)
        self._read = sessionmaker(engine.execution_options(reading=True), expire_on_commit=False)

    def writing(self) -> Session:
        """Return a session whose transaction may write."""
        return self._write()

    def reading(self) -> Session:
        """Return a session whose transaction only reads."""
        return self._read()


def changed(session: Session, statement: UpdateBase) -> int:
    """Run an insert, update or delete and return how many rows it met: what decides races."""
    return cast("CursorResult[Any]", session.execute(statement)).rowcount


class Merge(StrEnum):
    """What becomes of a column when a row is there already."""

    PUT = "put"
    ADD = "add"
    MOST = "most"


UPSERT_ROWS = 1000


def upsert(
    session: Session,
    table: type[Base],
    key: Sequence[str],
    columns: Mapping[str, Merge],
    rows: Sequence[Sequence[Any]],
    *,
    only_same: str | None = None,
) -> None:
    """Insert rows, or merge them into those that are there: one statement for each thousand.

    A row has the key's values, then those of `columns`; no key comes twice. With `only_same` it
    is merged only where that column (one of `columns`) has the same value in both. Rows are
    written in the order of their keys, so that two transactions wait for each other instead of
    locking each other out. SQLAlchemy would build each statement anew, at many times the cost,
    and the driver would escape each number.
    """
    connection = session.connection()
    dialect = connection.dialect
    names = [*key, *columns]
    head = f"INSERT INTO {table.__tablename__} ({', '.join(names)}) VALUES "  # noqa: S608 # names of ours
    tail = _merging(dialect.name, table.__tablename__, key, columns, only_same)
    types = [table.__table__.c[name].type for name in names]
    ordered = sorted(rows, key=lambda row: tuple(row[: len(key)]))
    for start in range(0, len(ordered), UPSERT_ROWS):
        texts, values = _row_texts(dialect, types, ordered[start : start + UPSERT_ROWS])
        connection.exec_driver_sql(f"{head}{', '.join(texts)}{tail}", values)


def _row_texts(
    dialect: Dialect, types: Sequence[TypeEngine[Any]], rows: Sequence[Sequence[Any]]
) -> tuple[list[str], tuple[Any, ...]]:
    """Return the rows as SQL, whole numbers written out, and the values for the marks in it."""
    by_column = list(zip(*rows, strict=True))
    written = [all(type(value) is int for value in column) for column in by_column]
    marker = "?" if dialect.paramstyle == "qmark" else "%%s"
    form = f"({', '.join('%d' if is_written else marker for is_written in written)})"
    numbers = [column for column, yes in zip(by_column, written, strict=True) if yes]
    texts = (
        [form % row for row in zip(*numbers, strict=True)] if numbers else [form % ()] * len(rows)
    )
    bound: list[Sequence[Any]] = []
    for column, one, is_written in zip(by_column, types, written, strict=True):
        if not is_written:
            bind = one.dialect_impl(dialect).bind_processor(dialect)
            bound.append(column if bind is None else [bind(value) for value in column])
    return texts, tuple(value for row in zip(*bound, strict=True) for value in row)


def _merging(
    dialect: str,
    table: str,
    key: Sequence[str],
    columns: Mapping[str, Merge],
    only_same: str | None,
) -> str:
    on_mysql = dialect in ("mysql", "mariadb")
    greatest = "MAX" if dialect == "sqlite" else "GREATEST"

    def new(name: str) -> str:
        return f"VALUES({name})" if on_mysql else f"excluded.{name}"

    def merged(name: str, merge: Merge) -> str:
        old = f"{table}.{name}"
        if merge is Merge.ADD:
            value = f"{old} + {new(name)}"
        else:
            value = new(name) if merge is Merge.PUT else f"{greatest}({old}, {new(name)})"
        if only_same is None:
            return f"{name} = {value}"
        return (
            f"{name} = CASE WHEN {table}.{only_same} = {new(only_same)} THEN {value} ELSE {old} END"
        )

    changes = ", ".join(merged(name, how) for name, how in columns.items() if name != only_same)
    if on_mysql:
        return f" ON DUPLICATE KEY UPDATE {changes}"
    return f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"


def is_worth_another_try(error: Exception) -> bool:
    """Tell whether the same transaction may succeed when run again.

    A broken unique key counts: two transactions passed the same check at once, and when the loser
    runs again its own check finds the winner's row and names the conflict.
    """
    if isinstance(error, StaleDataError | IntegrityError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    cause = error.orig
    if getattr(cause, "sqlstate", None) in POSTGRES_TRY_AGAIN:
        return True
    if "database is locked" in str(cause) or "database table is locked" in str(cause):
        return True
    arguments = getattr(cause, "args", ())
    return bool(arguments) and arguments[0] in MYSQL_TRY_AGAIN
