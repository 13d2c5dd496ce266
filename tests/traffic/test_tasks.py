"""Sweeps of traffic: each does what is due, once, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from derpman.kit.work import UnitOfWork
from derpman.traffic import queries
from derpman.traffic.models import TrafficDay, TrafficHour, TrafficPeriod
from derpman.wiring import System
from derpman.worker import celery_app
from tests.conftest import Person
from tests.rentals.conftest import Activate
from tests.traffic.conftest import MB, Customer

Make = Callable[..., Customer]
Sweep = Callable[[str], None]


@pytest.fixture
def sweep(system: System) -> Sweep:
    app = celery_app(system)
    app.loader.import_default_modules()

    def run(name: str) -> None:
        app.tasks[name]()

    return run


def test_activation_opens_a_period(
    servers: list[int], activate: Activate, carl: Person, follow: Any, system: System
) -> None:
    activate(carl)
    follow("traffic.")

    def periods(work: UnitOfWork) -> list[str]:
        return [one.status for one in work.session.scalars(select(TrafficPeriod))]

    assert system.edge().read(periods) == ["open"]


def test_period_that_is_due_is_turned_within_one_sweep(customer: Make, sweep: Sweep) -> None:
    carl = customer(100 * MB, days=180)
    carl.send(carl.relays[0], 100 * MB)
    sweep("traffic.turn_periods")
    assert carl.period().number == 1
    carl.clock.now = carl.rental.started_at + timedelta(days=30)
    sweep("traffic.turn_periods")
    assert carl.period().number == 2
    assert carl.quotas() != [0, 0, 0]


def test_months_without_a_sweep_are_made_up_for(customer: Make, sweep: Sweep) -> None:
    carl = customer(100 * MB, days=360)
    carl.clock.now = carl.rental.started_at + timedelta(days=100)
    sweep("traffic.turn_periods")
    assert carl.period().number == 4
    assert carl.edge.read(queries.due_turns, limit=10) == []


def test_sweeps_sum_up_hours_and_days(carls: Customer, sweep: Sweep) -> None:
    carls.send(carls.relays[0], 5 * MB)
    carls.clock.now = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    sweep("traffic.sum_up_servers")
    sweep("traffic.roll_up")
    carls.clock.now = datetime(2026, 3, 1, 16, 10, tzinfo=UTC)
    sweep("traffic.sum_up_days")

    def sent(work: UnitOfWork) -> tuple[list[int], list[int]]:
        hours = work.session.scalars(select(TrafficHour.sent_bytes))
        return list(hours), list(work.session.scalars(select(TrafficDay.sent_bytes)))

    assert carls.edge.read(sent) == ([5 * MB], [5 * MB])


def test_sweep_for_periods_looks_at_what_is_due_only(
    customer: Make, sweep: Sweep, statements: list[str]
) -> None:
    customer(100 * MB, days=360)
    statements.clear()
    sweep("traffic.turn_periods")
    assert len(statements) == 2
