"""What time does to sessions and resets."""

from __future__ import annotations

from sqlalchemy import func, select

from derpman.access import recovery
from derpman.access.models import LoginSession, PasswordReset
from derpman.kit.work import Edge
from derpman.wiring import System
from derpman.worker import TIMETABLE, celery_app
from tests.conftest import MovableClock, Person


def test_sessions_and_resets_that_are_long_over_are_forgotten(
    system: System, edge: Edge, carl: Person, clock: MovableClock
) -> None:
    app = celery_app(system)
    app.loader.import_default_modules()
    edge(recovery.send_reset, user_id=carl.id)
    task = app.tasks["access.forget_old"]
    left: list[list[int | None]] = []
    for _ in range(3):
        task()
        with system.sessions.reading() as session:
            left.append(
                [
                    session.scalar(select(func.count()).select_from(table))
                    for table in (LoginSession, PasswordReset)
                ]
            )
        clock.advance(days=31)
    assert left == [[1, 1], [1, 0], [0, 0]]
    assert task.name in {entry["task"] for entry in TIMETABLE.values()}


def test_a_reset_for_nobody_mails_nobody(edge: Edge, statements: list[str]) -> None:
    statements.clear()
    edge(recovery.send_reset, user_id=None)
    assert statements == []
