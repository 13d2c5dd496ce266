"""Every column that the vault sealed, found by its declaration, and sealed anew with another key.

A value that the first key sealed is left alone: what was interrupted goes on where it was, and a
second pass finds what running processes sealed meanwhile with the key before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table, select, update

from derpman.kit.db import Base, changed
from derpman.kit.work import Edge, UnitOfWork

AT_ONCE = 500


@dataclass
class Count:
    """What one column holds."""

    column: str
    seen: int = 0
    old: int = 0
    """Sealed by a key that is not the first: sealed anew, when that was asked for."""
    lost: int = 0
    """No key of the vault opens it."""


def sealed_columns() -> list[Column[Any]]:
    """Return the columns that are declared as sealed, in the order of their tables' names."""
    tables = sorted(Base.metadata.tables.values(), key=lambda table: table.name)
    return [column for table in tables for column in table.columns if column.info.get("sealed")]


def walk(
    run: Edge, *, write: bool, told: Callable[[Count], None] = lambda count: None
) -> list[Count]:
    """Look at every sealed value and, with `write`, seal the old ones anew.

    `told` hears after each transaction of a few hundred rows how far it is.
    """
    counts: list[Count] = []
    for column in sealed_columns():
        count = Count(f"{column.table.name}.{column.name}")
        counts.append(count)
        for _ in _batches(run, column, count, write=write):
            told(count)
    return counts


def _batches(run: Edge, column: Column[Any], count: Count, *, write: bool) -> Iterator[None]:
    after: Any = None
    while True:
        once = run if write else run.read
        seen, old, lost, after = once(_batch, column=column, after=after, write=write)
        count.seen, count.old, count.lost = count.seen + seen, count.old + old, count.lost + lost
        yield
        if after is None:
            return


def _batch(
    work: UnitOfWork, *, column: Column[Any], after: Any, write: bool
) -> tuple[int, int, int, Any]:
    """Return how many were seen, were old, were lost, and the last key, None at the end."""
    table = column.table
    assert isinstance(table, Table)
    (key,) = table.primary_key.columns
    rows = select(key, column).where(column.is_not(None)).order_by(key).limit(AT_ONCE)
    found = work.session.execute(rows if after is None else rows.where(key > after)).all()
    old = lost = 0
    for at, sealed in found:
        if work.vault.is_current(sealed):
            continue
        try:
            plain = work.vault.open(sealed)
        except ValueError:
            lost += 1
            continue
        old += 1
        if write:  # unless somebody wrote another value meanwhile
            anew = update(table).where(key == at, column == sealed)
            changed(work.session, anew.values({column: work.vault.seal(plain)}))
    return len(found), old, lost, found[-1][0] if len(found) == AT_ONCE else None
