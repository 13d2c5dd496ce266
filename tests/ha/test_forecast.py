"""When a server or region is full, and a month's traffic used up, at the growth of late."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from derpman.ha import forecast, load
from derpman.ha.forecast import Forecast
from derpman.kit.work import Edge, UnitOfWork
from derpman.monitoring import service as monitoring
from derpman.monitoring.service import Sample
from derpman.servers.models import Server
from tests.conftest import MovableClock

NOW = datetime(2026, 3, 16, 4, 0, tzinfo=UTC)  # half a month of Beijing's has passed
GB = 10**9


@pytest.fixture(autouse=True)
def at_noon(clock: MovableClock) -> None:
    clock.now = NOW


def measured(edge: Edge, server_id: int, users: float, ago: timedelta) -> None:
    then = replace(edge, clock=lambda: NOW - ago)
    then(monitoring.record, [Sample(server_id, "users", users)])


def put(edge: Edge, server_id: int, **values: object) -> None:
    def write(work: UnitOfWork) -> None:
        work.session.execute(update(Server).where(Server.id == server_id).values(**values))

    edge(write)


def foretold(edge: Edge, server_id: int) -> Forecast:
    def read(work: UnitOfWork) -> Forecast:
        return forecast.of_servers(work, work.session.scalars(select(Server)).all())[server_id]

    return edge.read(read)


def test_a_server_is_full_when_its_growth_has_taken_the_room(
    edge: Edge, add_server: Callable[..., int]
) -> None:
    one = add_server(capacity=100, relay_count=79)
    assert foretold(edge, one) == Forecast(0.0, None, None)  # nothing is known of before
    measured(edge, one, 76.0, timedelta(days=1))
    assert foretold(edge, one) == Forecast(3.0, NOW + timedelta(days=7), None)
    measured(edge, one, 65.0, timedelta(days=7))  # longer ago says more
    assert foretold(edge, one) == Forecast(2.0, NOW + timedelta(days=10.5), None)


def test_what_shrinks_or_hardly_grows_is_never_full(
    edge: Edge, add_server: Callable[..., int]
) -> None:
    shrinking = add_server(capacity=100, relay_count=50)
    measured(edge, shrinking, 60.0, timedelta(days=7))
    slow = add_server(capacity=1000, relay_count=8)
    measured(edge, slow, 1.0, timedelta(days=7))
    full = add_server(capacity=10, relay_count=10)
    assert foretold(edge, shrinking).full_at is None
    assert foretold(edge, slow).full_at is None  # a place a day: more than a year
    assert foretold(edge, full).full_at == NOW


@pytest.mark.parametrize(
    ("used_gb", "ends_at"),
    [
        (0, None),
        (400, None),  # at this rate 800 and some by the month's end
        (775, NOW + timedelta(days=4.5)),  # 15.5 days for 775: 50 a day, 225 are left
        (1000, NOW),
        (1200, NOW),
    ],
)
def test_the_months_traffic_ends_at_the_months_rate(
    edge: Edge, add_server: Callable[..., int], used_gb: int, ends_at: datetime | None
) -> None:
    one = add_server(monthly_allowance_bytes=1000 * GB, month_traffic_bytes=used_gb * GB)
    assert foretold(edge, one).allowance_ends_at == ends_at


def test_the_first_day_of_a_month_foretells_nothing(
    edge: Edge, add_server: Callable[..., int]
) -> None:
    one = add_server(
        monthly_allowance_bytes=1000 * GB, month_traffic_bytes=100 * GB, billing_day=16
    )
    assert foretold(edge, one).allowance_ends_at is None
    put(edge, one, billing_day=15)
    assert foretold(edge, one).allowance_ends_at is not None


def test_a_region_that_is_full_within_two_weeks_is_short_now(
    edge: Edge, add_server: Callable[..., int]
) -> None:
    servers = [add_server("上海", capacity=100, relay_count=60) for _ in range(2)]
    before = edge.read(load.analyse).regions
    assert [(one.advice, one.full_at) for one in before] == [("fine", None)]
    for one in servers:
        measured(edge, one, 32.0, timedelta(days=7))  # four a day each: room for ten days
    [region] = edge.read(load.analyse).regions
    assert (region.growth_per_day, region.full_at) == (8.0, NOW + timedelta(days=10))
    assert region.advice == "full"
