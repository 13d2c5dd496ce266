"""Rows merged by their keys, in bulk, alike on every database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from derpman.kit import db
from derpman.kit.db import Merge, upsert
from derpman.kit.work import Edge, UnitOfWork
from derpman.traffic.models import ServerMeter

NOON = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
COLUMNS = {"nic_raw_bytes": Merge.PUT, "nic_bytes": Merge.ADD, "relay_bytes": Merge.MOST}


def put(work: UnitOfWork, rows: list[tuple[object, ...]], only_same: str | None = None) -> None:
    columns = {**COLUMNS, "nic_read_at": Merge.PUT}
    upsert(work.session, ServerMeter, ["server_id"], columns, rows, only_same=only_same)


def read(work: UnitOfWork) -> list[tuple[int, int, int, datetime]]:
    rows = work.session.scalars(select(ServerMeter).order_by(ServerMeter.server_id))
    return [(one.nic_raw_bytes, one.nic_bytes, one.relay_bytes, one.nic_read_at) for one in rows]


def test_columns_are_put_added_or_kept_at_their_most(edge: Edge, add_server: object) -> None:
    one, two = add_server(), add_server()  # type: ignore[operator]
    edge(put, [(two, 1, 1, 1, NOON)])
    edge(put, [(two, 5, 10, 0, NOON), (one, 7, 7, 7, NOON)])
    assert edge.read(read) == [(7, 7, 7, NOON), (5, 11, 1, NOON)]


def test_rows_merge_only_where_the_guard_is_the_same(edge: Edge, add_server: object) -> None:
    one = add_server()  # type: ignore[operator]
    edge(put, [(one, 4, 10, 10, NOON)])
    edge(put, [(one, 3, 99, 99, NOON)], only_same="nic_raw_bytes")
    assert edge.read(read) == [(4, 10, 10, NOON)]
    edge(put, [(one, 4, 1, 99, NOON)], only_same="nic_raw_bytes")
    assert edge.read(read) == [(4, 11, 99, NOON)]


def test_many_rows_are_one_statement(
    edge: Edge, add_server: object, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "UPSERT_ROWS", 3)
    many = [add_server() for _ in range(5)]  # type: ignore[operator]
    statements.clear()
    edge(put, [(one, 1, 1, 1, NOON) for one in many])
    assert len(statements) == 2
    statements.clear()
    edge(put, [])
    assert statements == []
