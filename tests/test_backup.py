"""A backup is one instant of everything, and comes back on an empty database of any kind."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from derpman import backup, migrations
from derpman.alerts import service as alerts
from derpman.alerts.models import Severity
from derpman.backup import BackupUnreadable, NotEmpty, Private, TooNew, WrongPassphrase
from derpman.kit.db import Base, engine_for
from derpman.kit.work import Edge, UnitOfWork
from derpman.serials import service as serials
from derpman.users.models import User
from derpman.wiring import System
from tests.conftest import MovableClock, Person

PRIVATE = Private(["key-one", "key-two"], {"DERPMAN_SMTP_HOST": "mail.example"})


@pytest.fixture
def filled(
    edge: Edge,
    person: Callable[..., Person],
    add_server: Callable[..., int],
    clock: MovableClock,
) -> dict[str, Any]:
    """Rows of every kind of column: instants, days, texts in any script, bytes, numbers."""
    first, second = person("zoe"), person("yves")
    for region in ("上海", "Paris", "São Paulo"):
        add_server(region)
    codes = [one.code for one in edge(serials.generate, duration_days=30, count=3)]

    def write(work: UnitOfWork) -> None:
        # Somebody looked after by one who came later: a reference to a row further down.
        work.session.execute(update(User).where(User.id == first.id).values(manager_id=second.id))
        alerts.raise_alert(
            work,
            alert_type="monitored",
            severity=Severity.WARNING,
            object_key="x",
            params={"name": "n", "summary": "“quoted”\n\\ and\ttabbed", "summary_zh": "中"},
        )

    edge(write)
    clock.advance(microseconds=123_456)
    return {"first": first.id, "second": second.id, "codes": codes}


def everything(system: System) -> dict[str, list[tuple[Any, ...]]]:
    with system.engine.connect() as connection:
        return {
            table.name: [
                tuple(row)
                for row in connection.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in Base.metadata.sorted_tables
        }


@pytest.fixture
def elsewhere(system: System, tmp_path: Path) -> Iterator[System]:
    """Another installation, with an empty SQLite database: kinds of databases may differ."""
    engine = engine_for(f"sqlite:///{tmp_path / 'restored.sqlite'}")
    yield System(system.settings, engine, system.vault, system.wake, system.clock)
    engine.dispose()


def test_what_was_there_is_there_again(
    system: System, elsewhere: System, filled: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "all.backup"
    told: list[str] = []
    made_at = system.clock()
    counts = backup.write(
        system.engine, path, made_at=made_at, tell=lambda name, _rows: told.append(name)
    )
    assert counts["users"] == 2
    assert "serial_numbers" in told
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.glob(".all.backup*")] == []
    assert backup.restore(elsewhere.engine, path) == counts
    assert everything(elsewhere) == everything(system)
    migrations.check(elsewhere.engine)
    # The installation works: a code of then is good, new rows get new ids.
    edge = elsewhere.edge()
    taken = edge(serials.redeem, code=filled["codes"][0], user_id=filled["first"])
    assert taken.status == "used"
    assert (
        edge.read(lambda work: work.session.get_one(User, filled["first"]).manager_id)
        == (filled["second"])
    )


def test_it_comes_back_on_the_database_under_test(
    system: System, filled: dict[str, Any], tmp_path: Path
) -> None:
    """Whatever the suite runs on: emptied by hand, its rows come back from the file."""
    from tests.conftest import empty

    path = tmp_path / "all.backup"
    backup.write(system.engine, path, made_at=system.clock())
    before = everything(system)
    if system.engine.dialect.name == "sqlite":
        _drop_all(system)
    else:
        empty(system.engine.url.render_as_string(hide_password=False))
    backup.restore(system.engine, path)
    assert everything(system) == before
    [new] = system.edge()(serials.generate, duration_days=30, count=1)
    with system.engine.connect() as connection:
        last = connection.scalar(
            text("SELECT MAX(id) FROM serial_numbers WHERE id <> :new"), {"new": new.id}
        )
    assert last is not None
    if system.engine.dialect.name == "sqlite":
        assert new.id == last + 1
    else:
        assert new.id >= last + backup.GAP  # ids given since the backup are not given again


def _drop_all(system: System) -> None:
    path = Path(system.engine.url.database or "")
    system.engine.dispose()
    for one in path.parent.glob(f"{path.name}*"):
        one.unlink()


def test_a_backup_is_of_one_instant_while_others_write(
    system: System, edge: Edge, elsewhere: System, filled: dict[str, Any], tmp_path: Path
) -> None:
    """Serials are sold in the middle of it: their orders and they are both in it, or neither."""
    path = tmp_path / "all.backup"
    before = everything(system)

    def tell(name: str, _rows: int) -> None:
        if name == "plans":  # read early: serials come later
            edge(serials.generate, duration_days=30, count=5)
            edge(
                lambda work: work.session.execute(
                    update(User).where(User.id == filled["first"]).values(username="changed")
                )
            )

    backup.write(system.engine, path, made_at=system.clock(), tell=tell)
    backup.restore(elsewhere.engine, path)
    assert everything(elsewhere) == before
    assert everything(system) != before


def test_every_kind_of_column_is_known(system: System) -> None:
    kinds = {
        type(column.type).__name__
        for table in Base.metadata.tables.values()
        for column in table.columns
    }
    assert kinds <= {
        "BigInteger", "Boolean", "Date", "Double", "Enum", "Float", "Integer", "LargeBinary",
        "String", "Text", "UtcDateTime",
    }, "a new kind of column: see backup._plain and backup._reader"  # fmt: skip


def test_no_database_with_people_is_overwritten(
    system: System, filled: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "all.backup"
    backup.write(system.engine, path, made_at=system.clock())
    before = everything(system)
    with pytest.raises(NotEmpty):
        backup.restore(system.engine, path)
    assert everything(system) == before


def _altered(path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    other = path.with_name("altered.backup")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
        for one in old.namelist():
            content = old.read(one)
            new.writestr(one, change(content) if one == name else content)
    return other


def test_what_is_damaged_or_newer_says_so(
    system: System, elsewhere: System, filled: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "all.backup"
    backup.write(system.engine, path, made_at=system.clock())

    def newer(content: bytes) -> bytes:
        return json.dumps({**json.loads(content), "revision": "9999"}).encode()

    with pytest.raises(TooNew):
        backup.restore(elsewhere.engine, _altered(path, "manifest.json", newer))
    cut = _altered(
        path, "tables/serial_numbers.jsonl", lambda b: b"\n".join(b.split(b"\n")[:-2]) + b"\n"
    )
    with pytest.raises(BackupUnreadable) as refused:
        backup.restore(elsewhere.engine, cut)
    assert "serial_numbers" in refused.value.message
    (tmp_path / "no.backup").write_bytes(b"PK nothing")
    with pytest.raises(BackupUnreadable):
        backup.read_manifest(tmp_path / "no.backup")


def test_keys_are_readable_with_the_passphrase_alone(system: System, tmp_path: Path) -> None:
    path = tmp_path / "all.backup"
    backup.write(
        system.engine, path, made_at=system.clock(), private=PRIVATE, passphrase="three words"
    )
    assert b"key-one" not in path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert b"key-one" not in archive.read("keys.sealed")
    assert backup.read_private(path, "three words") == PRIVATE
    with pytest.raises(WrongPassphrase):
        backup.read_private(path, "two words")
    backup.write(system.engine, path, made_at=system.clock())
    assert backup.read_private(path, "three words") is None


def test_a_backup_that_fails_leaves_the_one_before(system: System, tmp_path: Path) -> None:
    path = tmp_path / "all.backup"
    backup.write(system.engine, path, made_at=system.clock())
    before = path.read_bytes()

    def fail(_name: str, _rows: int) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        backup.write(system.engine, path, made_at=system.clock() + timedelta(days=1), tell=fail)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.glob(".all*")] == []
