"""What time does to registrations."""

from __future__ import annotations

from sqlalchemy import func, select
from starlette.testclient import TestClient

from derpman.users.models import Registration
from derpman.wiring import System
from derpman.worker import TIMETABLE, celery_app
from tests.conftest import MovableClock


def test_registrations_that_led_to_nothing_are_forgotten(
    client: TestClient, system: System, clock: MovableClock
) -> None:
    app = celery_app(system)
    app.loader.import_default_modules()
    body = {"username": "dora", "email": "dora@example.com", "password": "correct horse"}
    assert client.post("/api/user/register", json=body).status_code == 200
    clock.advance(days=29)
    task = app.tasks["users.forget_registrations"]
    for left in (1, 0):
        task()
        with system.sessions.reading() as session:
            assert session.scalar(select(func.count(Registration.id))) == left
        clock.advance(days=2)
    assert task.name in {entry["task"] for entry in TIMETABLE.values()}
