"""Keys of the vault are rotated while everything runs, and no sealed column is forgotten."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from sqlalchemy import String, Text, select, update

from derpman.kit import resealing
from derpman.kit.secrets import Vault, key_file, new_key, write_key_file
from derpman.kit.work import Edge
from derpman.logs import sealing, service
from derpman.logs.models import LogChain
from derpman.migrations import load_models
from derpman.notifications import service as notifications
from derpman.notifications.models import Mail


def with_keys(edge: Edge, *keys: str) -> Edge:
    return replace(edge, vault=Vault(keys))


def queue(edge: Edge, count: int) -> None:
    for number in range(count):
        edge(
            notifications.queue_mail,
            template="password_reset",
            address=f"a{number}@example.com",
            locale="en",
            user_id=None,
            params={"username": "a", "minutes": 30},
            secrets={"code": f"code-{number}"},
        )


def sums(counts: list[resealing.Count]) -> tuple[int, int, int]:
    return sum(c.seen for c in counts), sum(c.old for c in counts), sum(c.lost for c in counts)


def test_everything_sealed_is_sealed_anew_and_opens_without_the_old_key(edge: Edge) -> None:
    old, new = new_key(), new_key()
    before = with_keys(edge, old)
    queue(before, 3)
    before(service.record, action="x", object_type="y")
    before(sealing.seal)
    assert sums(resealing.walk(with_keys(edge, new, old), write=False)) == (4, 4, 0)
    assert sums(resealing.walk(with_keys(edge, new, old), write=True)) == (4, 4, 0)
    after = with_keys(edge, new)
    assert sums(resealing.walk(after, write=False)) == (4, 0, 0)
    assert sums(resealing.walk(after, write=True)) == (4, 0, 0)
    assert sealing.verify(after).findings == []
    sealed = after.read(
        lambda work: work.session.scalars(select(Mail.secrets).order_by(Mail.id)).all()
    )
    assert '"code-0"' in after.vault.open(sealed[0] or "")


def test_an_interrupted_rotation_goes_on(edge: Edge, monkeypatch) -> None:
    monkeypatch.setattr(resealing, "AT_ONCE", 2)
    old, new = new_key(), new_key()
    queue(with_keys(edge, old), 5)
    both = with_keys(edge, new, old)
    column = next(c for c in resealing.sealed_columns() if c.table.name == Mail.__tablename__)
    seen, changed, lost, after = both(resealing._batch, column=column, after=None, write=True)
    assert (seen, changed, lost) == (2, 2, 0)
    assert after is not None
    assert sums(resealing.walk(both, write=True)) == (5, 3, 0)
    assert sums(resealing.walk(with_keys(edge, new), write=False)) == (5, 0, 0)


def test_what_no_key_opens_is_told_and_left(edge: Edge) -> None:
    queue(with_keys(edge, new_key()), 1)
    other = with_keys(edge, new_key())
    assert sums(resealing.walk(other, write=True)) == (1, 0, 1)


def test_a_value_written_meanwhile_is_not_overwritten(edge: Edge) -> None:
    old, new = new_key(), new_key()
    edge(sealing.seal)
    edge(lambda work: work.session.execute(update(LogChain).values(key=Vault([old]).seal("a"))))
    both = with_keys(edge, new, old)
    assert sums(resealing.walk(both, write=True)) == (1, 1, 0)
    key = both.read(lambda work: work.session.scalar(select(LogChain.key)))
    assert Vault([new]).open(key or "") == "a"


def test_a_running_process_takes_new_keys_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    running = Vault(key_file(path), file=path)
    early = running.seal("early")
    write_key_file(path, [new_key(), *key_file(path)])
    other = Vault(key_file(path))
    assert running.open(other.seal("late")) == "late"
    assert other.is_current(running.seal("now"))
    assert running.open(early) == "early"
    assert not running.is_current(early)
    assert path.stat().st_mode & 0o077 == 0


def test_every_column_whose_words_say_sealed_is_declared() -> None:
    load_models()
    declared = resealing.sealed_columns()
    for column in declared:
        assert isinstance(column.type, Text | String), column
        assert len(column.table.primary_key.columns) == 1, column
    said = 0
    for path in sorted(Path("derpman").glob("*/models.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for before, line in pairwise(lines):
            if line.strip().startswith('"""Sealed'):
                assert "info=SEALED" in before, f"{path}: {before}"
                said += 1
    assert 0 < said <= len(declared)
