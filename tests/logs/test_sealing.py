"""The chain over the operation log: whatever is done to a sealed row is found, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from derpman.kit.work import Edge
from derpman.logs import sealing, service
from derpman.logs.models import SystemLog, UserLog
from derpman.logs.sealing import Anchor, Report
from tests.conftest import MovableClock

BEHIND = (
    "INSERT INTO system_logs (id, created_at, actor_name, actor_role, action, object_type, "
    "ip_address) SELECT 0 - 7, created_at, '', 'system', 'x', 'x', '' FROM system_logs WHERE id = 1"
)


def write(edge: Edge, count: int) -> None:
    for number in range(count):
        edge(service.record, action="x.y", object_type="thing", after={"number": number, "行": "é"})


def found(report: Report) -> list[tuple[int, int | None]]:
    return [(finding.position, finding.log_id) for finding in report.findings]


@pytest.fixture
def attack(edge: Edge) -> Iterator[Callable[[str], None]]:
    """Change the log as somebody with the database's own rights can, past its triggers."""
    engine = edge.sessions.engine
    dialect = engine.dialect.name
    undo: list[str] = []
    with engine.begin() as connection:
        if dialect in ("mysql", "mariadb"):
            undo += connection.scalars(
                text(
                    "SELECT CONCAT('CREATE TRIGGER ', trigger_name, ' BEFORE ', event_manipulation,"
                    " ' ON system_logs FOR EACH ROW ', action_statement) FROM "
                    "information_schema.triggers WHERE event_object_table = 'system_logs' "
                    "AND trigger_schema = DATABASE()"
                )
            ).all()
        if dialect != "postgresql":
            for verb in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER system_logs_no_{verb}"))

    def change(statement: str) -> None:
        with engine.begin() as connection:
            if dialect == "postgresql":
                connection.execute(text("SET LOCAL session_replication_role = replica"))
            assert connection.execute(text(statement)).rowcount > 0

    yield change
    with engine.begin() as connection:
        for statement in undo:
            connection.execute(text(statement))


@pytest.mark.parametrize(
    ("done", "where"),
    [
        (["UPDATE system_logs SET after = REPLACE(after, '1', '7') WHERE id = 2"], [(2, 2)]),
        (["UPDATE system_logs SET ip_address = '' , actor_id = 9 WHERE id = 4"], [(4, 4)]),
        (["DELETE FROM system_logs WHERE id = 3"], [(3, 3)]),
        (["DELETE FROM system_logs WHERE id >= 4"], [(4, 4), (5, 5)]),
        (["DELETE FROM log_seals WHERE position = 3"], [(3, None), (0, 3)]),
        (
            [
                "DELETE FROM log_seals WHERE position >= 4",
                "DELETE FROM system_logs WHERE id >= 4",
            ],
            [(4, None)],
        ),
        (
            [
                "DELETE FROM system_logs WHERE id = 2",
                "UPDATE log_chain SET retired_until = 2",
            ],
            [(2, 2)],
        ),
        (["UPDATE log_seals SET digest = 'forged' WHERE position = 2"], [(2, 2), (3, 3)]),
        (
            [BEHIND],
            [(0, -7)],
        ),
    ],
)
def test_what_is_done_behind_our_back_is_found_and_located(
    edge: Edge,
    clock: MovableClock,
    attack: Callable[[str], None],
    done: list[str],
    where: list[tuple[int, int | None]],
) -> None:
    write(edge, 5)
    edge(sealing.seal)
    clock.advance(minutes=6)
    edge(sealing.seal)  # all of it is settled now
    assert sealing.verify(edge).findings == []
    for statement in done:
        attack(statement)
    assert found(sealing.verify(edge)) == where


def test_what_was_written_is_sealed_once_and_fits(edge: Edge) -> None:
    write(edge, 5)
    assert edge(sealing.seal, limit=3) == 3
    assert edge(sealing.seal, limit=3) == 2
    assert edge(sealing.seal) == 0
    report = sealing.verify(edge)
    assert (report.checked, report.findings, report.head.position) == (5, [], 5)
    assert report.head == edge.read(sealing.head)


def test_an_empty_log_has_nothing_to_find(edge: Edge) -> None:
    assert sealing.verify(edge).findings == []
    assert edge(sealing.seal) == 0
    assert sealing.verify(edge).findings == []


def test_the_database_refuses_what_the_application_does_not_do(edge: Edge) -> None:
    write(edge, 1)
    edge(sealing.seal)
    for statement in ("UPDATE system_logs SET action = 'z'", "DELETE FROM system_logs"):
        with pytest.raises(DBAPIError), edge.sessions.engine.begin() as connection:
            connection.execute(text(statement))
    assert sealing.verify(edge).findings == []


def test_old_rows_are_retired_with_a_record_and_the_chain_goes_on(
    edge: Edge, clock: MovableClock
) -> None:
    write(edge, 3)
    clock.advance(days=10)
    write(edge, 2)
    edge(sealing.seal)
    old = clock.now - timedelta(days=5)
    assert edge(sealing.retire, older_than=old, limit=2) == 2
    assert edge(sealing.retire, older_than=old) == 1
    assert edge(sealing.retire, older_than=old) == 0
    edge(sealing.seal)
    report = sealing.verify(edge)
    assert (report.checked, report.retired, report.findings) == (4, 3, [])
    actions = edge.read(
        lambda work: work.session.scalars(select(SystemLog.action).order_by(SystemLog.id)).all()
    )
    assert actions == ["x.y", "x.y", sealing.RETIRE, sealing.RETIRE]


def test_what_is_not_sealed_yet_is_not_retired(edge: Edge, clock: MovableClock) -> None:
    write(edge, 3)
    clock.advance(days=10)
    assert edge(sealing.retire, older_than=clock.now) == 0


def test_a_row_that_commits_late_is_sealed_after_those_that_overtook_it(
    edge: Edge, clock: MovableClock
) -> None:
    write(edge, 3)
    edge(sealing.seal)
    with edge.sessions.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO system_logs (id, created_at, actor_name, actor_role, action, "
                "object_type, ip_address) SELECT 500, created_at, '', 'system', 'late', 'x', '' "
                "FROM system_logs WHERE id = 1"
            )
        )
    write(edge, 1)
    edge(sealing.seal)
    assert sealing.verify(edge).findings == []


def test_user_logs_older_than_kept_are_forgotten(edge: Edge, clock: MovableClock) -> None:
    for _ in range(3):
        edge(service.record_user, user_id=1, action="login")
    clock.advance(days=400)
    edge(service.record_user, user_id=1, action="login")
    old = clock.now - timedelta(days=399)
    assert edge(service.forget_user_logs, older_than=old, limit=2) == 2
    assert edge(service.forget_user_logs, older_than=old) == 1
    assert edge(service.forget_user_logs, older_than=old) == 0
    assert len(edge.read(lambda work: work.session.scalars(select(UserLog)).all())) == 1


def test_a_cut_tail_is_told_by_the_anchor(edge: Edge) -> None:
    write(edge, 2)
    edge(sealing.seal)
    anchor = edge.read(sealing.head)
    assert sealing.verify(edge, anchors=(anchor,)).findings == []
    beyond = Anchor(anchor.position + 1, anchor.digest)
    assert found(sealing.verify(edge, anchors=(beyond,))) == [(3, None)]
    other = Anchor(2, "f" * 64)
    assert found(sealing.verify(edge, anchors=(other,))) == [(2, None)]
