"""One file with all that an installation is: every table as one instant saw it, keys, settings.

The file is a ZIP: `tables/<name>.jsonl`, a line of JSON for each row; `manifest.json`; and, sealed
with a passphrase, `keys.sealed`. It knows no database: what was taken from SQLite can be put into
MariaDB. What it holds of people is readable, so it is written for its owner alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any, cast

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from sqlalchemy import (
    ColumnClause,
    Connection,
    Engine,
    Table,
    column,
    func,
    select,
    table,
    text,
)
from sqlalchemy import types as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import quoted_name

from derpman import migrations
from derpman.kit.db import Base
from derpman.kit.errors import Conflict, Invalid
from derpman.kit.types import UtcDateTime

FORMAT = 1
ROWS = 1000
GAP = 1000
"""Ids after the last one that are not given again: what the last hours gave may live on servers."""
MANIFEST, KEYS = "manifest.json", "keys.sealed"
Tell = Callable[[str, int], None]
"""Called with a table and how many rows of it are done."""


class BackupUnreadable(Invalid):
    """The file is none of ours, or damaged."""

    code = "backup.unreadable"
    text = "The backup cannot be read: {why}."


class NotEmpty(Conflict):
    """There is somebody in the database already: nothing is overwritten."""

    code = "backup.not_empty"
    text = "The database has users already. Restore into an empty one."


class TooNew(Conflict):
    """A newer program made it."""

    code = "backup.too_new"
    text = (
        "The backup has the form {revision}, which this version does not know. Install a newer one."
    )


class WrongPassphrase(Invalid):
    """The passphrase does not open the keys."""

    code = "backup.wrong_passphrase"
    text = "The passphrase does not open the keys of this backup."


@dataclass(frozen=True)
class Private:
    """What is sealed: the vault's keys, newest first, and the settings as environment."""

    keys: Sequence[str]
    settings: Mapping[str, str]


def write(
    engine: Engine,
    path: Path,
    *,
    made_at: datetime,
    private: Private | None = None,
    passphrase: str = "",
    tell: Tell = lambda _table, _rows: None,
) -> dict[str, int]:
    """Write a backup while the system works; return how many rows of each table it has.

    All tables are read in one transaction that sees one instant; nobody waits for it. The file is
    there whole or not at all.
    """
    migrations.load_models()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    counts: dict[str, int] = {}
    digests: dict[str, str] = {}
    try:
        with (
            os.fdopen(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive,
            _one_instant(engine) as connection,
        ):
            revision = MigrationContext.configure(connection).get_current_revision()
            for one in Base.metadata.sorted_tables:
                counts[one.name], digests[one.name] = _write_table(archive, connection, one, tell)
            manifest = {
                "format": FORMAT,
                "revision": revision,
                "dialect": connection.dialect.name,
                "made_at": made_at.isoformat(),
                "rows": counts,
                "sha256": digests,
            }
            if private is not None:
                archive.writestr(KEYS, _sealed(private, passphrase))
            archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return counts


def _one_instant(engine: Engine) -> Connection:
    """Return a connection whose transaction sees the database as it is at its first read."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(reading=True).connect()
    return engine.execution_options(isolation_level="REPEATABLE READ").connect()


def _write_table(
    archive: zipfile.ZipFile, connection: Connection, one: Table, tell: Tell
) -> tuple[int, str]:
    rows, digest = 0, hashlib.sha256()
    every = select(*one.columns).order_by(*one.primary_key.columns)
    with (
        connection.execution_options(yield_per=ROWS).execute(every) as found,
        archive.open(f"tables/{one.name}.jsonl", "w", force_zip64=True) as file,
    ):
        names = f"{json.dumps([column.name for column in one.columns])}\n".encode()
        file.write(names)
        digest.update(names)
        for part in found.partitions():
            lines = "".join(
                f"{json.dumps([_plain(value) for value in row], separators=(',', ':'))}\n"
                for row in part
            ).encode()
            file.write(lines)
            digest.update(lines)
            rows += len(part)
            tell(one.name, rows)
    return rows, digest.hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def read_manifest(path: Path) -> dict[str, Any]:
    """Return what a backup says of itself; BackupUnreadable for what is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            manifest: dict[str, Any] = json.loads(archive.read(MANIFEST))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise BackupUnreadable(why=str(error)) from None
    if manifest.get("format") != FORMAT:
        raise BackupUnreadable(why=f"its form is {manifest.get('format')}")
    return manifest


def read_private(path: Path, passphrase: str) -> Private | None:
    """Return keys and settings, or None when the backup has none; WrongPassphrase."""
    with zipfile.ZipFile(path) as archive:
        if KEYS not in archive.namelist():
            return None
        sealed: dict[str, str] = json.loads(archive.read(KEYS))
    key = _key(passphrase, bytes.fromhex(sealed["salt"]))
    try:
        opened = json.loads(Fernet(key).decrypt(sealed["text"].encode()))
    except InvalidToken:
        raise WrongPassphrase from None
    return Private(opened["keys"], opened["settings"])


def _sealed(private: Private, passphrase: str) -> str:
    salt = secrets.token_bytes(16)
    text = json.dumps({"keys": list(private.keys), "settings": dict(private.settings)})
    sealed = Fernet(_key(passphrase, salt)).encrypt(text.encode()).decode()
    return json.dumps({"salt": salt.hex(), "text": sealed})


def _key(passphrase: str, salt: bytes) -> bytes:
    derived = Scrypt(salt=salt, length=32, n=2**16, r=8, p=1).derive(passphrase.encode())
    return base64.urlsafe_b64encode(derived)


def restore(
    engine: Engine, path: Path, *, tell: Tell = lambda _table, _rows: None
) -> dict[str, int]:
    """Put a backup into an empty database, then bring it to the newest form; return the rows.

    NotEmpty and TooNew say no before anything is written, and so does BackupUnreadable for what is
    no backup. A table that is not as it was written is found after it was put in: then, as when
    it is cut short, the database is to be thrown away.
    """
    manifest = read_manifest(path)
    migrations.load_models()
    config = migrations.config_for(engine)
    known = {one.revision for one in ScriptDirectory.from_config(config).walk_revisions()}
    if manifest["revision"] not in known:
        raise TooNew(revision=manifest["revision"])
    if _has_users(engine):
        raise NotEmpty
    migrations.upgrade(engine, manifest["revision"])
    order = [one.name for one in Base.metadata.sorted_tables]
    names = sorted(manifest["rows"], key=lambda name: order.index(name) if name in order else 999)
    with zipfile.ZipFile(path) as archive:
        for name in names:
            rows, digest = _read_table(archive, engine, name, tell)
            if (rows, digest) != (manifest["rows"][name], manifest["sha256"][name]):
                raise BackupUnreadable(why=f"the table {name} is not as it was written")
    _leave_gaps(engine, manifest["rows"])
    migrations.upgrade(engine)
    return manifest["rows"]


def _has_users(engine: Engine) -> bool:
    try:
        with engine.execution_options(reading=True).connect() as connection:
            return bool(connection.scalar(text("SELECT COUNT(*) FROM users")))
    except SQLAlchemyError:
        return False  # there is no such table yet


def _read_table(archive: zipfile.ZipFile, engine: Engine, name: str, tell: Tell) -> tuple[int, str]:
    digest, rows = hashlib.sha256(), 0
    model = Base.metadata.tables.get(name)
    with archive.open(f"tables/{name}.jsonl") as file:
        head = next(file)
        digest.update(head)
        names: list[str] = json.loads(head)
        columns = [_column(model, one) for one in names]
        target = table(quoted_name(name, quote=True), *columns)
        readers = [_reader(one.type) for one in columns]
        own = _own_references(model, names)
        later: list[dict[str, Any]] = []
        hashed = _hashed(file, digest)
        while lines := list(islice(hashed, ROWS)):
            with engine.begin() as connection:
                values = [
                    {
                        key: None if value is None else read(value)
                        for key, read, value in zip(names, readers, json.loads(line), strict=True)
                    }
                    for line in lines
                ]
                later += _postponed(values, own)
                connection.execute(target.insert(), values)
            rows += len(lines)
            tell(name, rows)
    with engine.begin() as connection:
        for one in later:
            which = target.c.id == one.pop("id")
            connection.execute(target.update().where(which).values(one))
    return rows, digest.hexdigest()


def _hashed(file: Any, digest: Any) -> Iterator[bytes]:
    for line in file:
        digest.update(line)
        yield line


def _column(model: Table | None, name: str) -> ColumnClause[Any]:
    known = None if model is None else model.columns.get(name)
    return column(name, sa.NullType() if known is None else known.type)


def _reader(kind: Any) -> Callable[[Any], Any]:
    """Return what makes a value of JSON one of the column's type again."""
    if isinstance(kind, UtcDateTime):
        return datetime.fromisoformat
    if isinstance(kind, sa.Date):
        return date.fromisoformat
    if isinstance(kind, sa.LargeBinary):
        return base64.b64decode
    if isinstance(kind, sa.Enum) and kind.enum_class is not None:
        return cast("Callable[[Any], Any]", kind.enum_class)
    return lambda value: value


def _own_references(model: Table | None, names: Sequence[str]) -> list[str]:
    """Return the columns that point to rows of the same table."""
    if model is None:
        return []
    return [
        one.name
        for one in model.columns
        if one.name in names and any(key.column.table is model for key in one.foreign_keys)
    ]


def _postponed(values: Sequence[dict[str, Any]], own: Sequence[str]) -> list[dict[str, Any]]:
    """Take out of rows what points to later rows of their table; return it with the row's id."""
    later: list[dict[str, Any]] = []
    for row in values:
        forward = {key: row[key] for key in own if row[key] is not None and row[key] > row["id"]}
        if forward:
            row.update(dict.fromkeys(forward))
            later.append({"id": row["id"], **forward})
    return later


def _leave_gaps(engine: Engine, names: Mapping[str, int]) -> None:
    """Have new rows begin some way after the last one. SQLite counts on from the last."""
    with engine.begin() as connection:
        dialect = connection.dialect.name
        if dialect == "sqlite":
            return
        for name in names:
            model = Base.metadata.tables.get(name)
            if model is None or model.autoincrement_column is None:
                continue
            key = model.autoincrement_column
            last = (connection.scalar(select(func.max(key))) or 0) + GAP
            if dialect == "postgresql":
                connection.execute(
                    text("SELECT setval(pg_get_serial_sequence(:name, :key), :last)"),
                    {"name": name, "key": key.name, "last": last},
                )
            else:
                connection.execute(text(f"ALTER TABLE {name} AUTO_INCREMENT = {last}"))
