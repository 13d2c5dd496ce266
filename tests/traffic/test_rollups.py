"""Hours and days: no byte in two of them, none in no one; and drift."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from derpman.alerts.models import SystemAlert
from derpman.kit.work import Edge, UnitOfWork
from derpman.traffic import cards, queries, rollups
from derpman.traffic.calendar import day_of
from derpman.traffic.cards import CardReading
from derpman.traffic.models import ServerDay, ServerHour, TrafficDay, TrafficHour
from derpman.traffic.queries import DAY, Step
from tests.conftest import MovableClock
from tests.traffic.conftest import MB, Customer


def roll(edge: Edge) -> None:
    after: int | None = 0
    while after is not None:
        after = edge(rollups.roll_relays, after=after)
    edge(rollups.roll_servers)


def sums(edge: Edge, model: Any) -> list[tuple[int, datetime, int]]:
    def read(work: UnitOfWork) -> list[tuple[int, datetime, int]]:
        rows = work.session.scalars(select(model).order_by(model.placement_id, model.begins_at))
        return [(row.placement_id, row.begins_at, row.sent_bytes) for row in rows]

    return edge.read(read)


def at(hour: int, minute: int = 0, day: int = 1) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def test_every_byte_is_in_one_hour(carls: Customer) -> None:
    one, two, _ = carls.relays
    carls.send(one, 10 * MB)
    carls.clock.now = at(9)
    roll(carls.edge)
    carls.send(one, 5 * MB)
    carls.send(two, 7 * MB)
    carls.finish(two)
    carls.clock.now = at(10)
    for _ in range(2):
        roll(carls.edge)
    assert sums(carls.edge, TrafficHour) == [
        (one, at(8), 10 * MB),
        (one, at(9), 5 * MB),
        (two, at(9), 7 * MB),
    ]


def test_late_sweep_closes_the_hour_before(carls: Customer) -> None:
    carls.send(carls.relays[0], MB)
    carls.clock.now = at(9, 4)
    roll(carls.edge)
    assert sums(carls.edge, TrafficHour)[0][1] == at(8)


def test_series_reach_to_this_moment(carls: Customer) -> None:
    relay = carls.relays[0]
    carls.send(relay, 10 * MB)
    carls.clock.now = at(9)
    roll(carls.edge)
    carls.send(relay, 3 * MB)
    since = carls.clock() - timedelta(hours=2)
    hours = carls.edge.read(queries.series, step=Step.HOUR, since=since, user_id=carls.user_id)
    assert [(one.begins_at, one.sent_bytes) for one in hours] == [
        (at(8), 10 * MB),
        (at(9), 3 * MB),
    ]
    days = carls.edge.read(queries.series, step=Step.DAY, since=since, user_id=carls.user_id)
    assert [one.sent_bytes for one in days] == [13 * MB]


def test_days_are_beijings_and_may_be_summed_twice(carls: Customer) -> None:
    relay = carls.relays[0]
    carls.clock.now = at(15, 30)
    carls.send(relay, 10 * MB)
    carls.clock.now = at(16)  # midnight in Beijing
    roll(carls.edge)
    carls.send(relay, 4 * MB)
    carls.clock.now = at(17)
    roll(carls.edge)
    day = day_of(at(12))
    for _ in range(2):
        assert carls.edge(rollups.sum_day, day=day, after=0) == relay
        carls.edge(rollups.sum_server_day, day=day)
    assert sums(carls.edge, TrafficDay) == [(relay, at(16, day=1) - timedelta(days=1), 10 * MB)]
    days = carls.edge.read(queries.series, step=Step.DAY, since=at(1), user_id=carls.user_id)
    assert [one.sent_bytes for one in days] == [10 * MB, 4 * MB]


def test_months_are_beijings(carls: Customer) -> None:
    relay = carls.relays[0]
    server_id = carls.server_of[relay]
    january, february, march = (
        datetime(*day, 16, tzinfo=UTC) for day in ((2025, 12, 31), (2026, 1, 31), (2026, 2, 28))
    )
    sent = {january - DAY: 1, january: 2, february - DAY: 4, february: 8, march - DAY: 16}

    def put(work: UnitOfWork) -> None:
        for begins_at, count in sent.items():
            whose = {"user_id": carls.user_id, "server_id": server_id}
            size = count * MB
            work.session.add(
                TrafficDay(placement_id=relay, begins_at=begins_at, sent_bytes=size, **whose)
            )
            work.session.add(
                ServerDay(server_id=server_id, begins_at=begins_at, nic_bytes=size, relay_bytes=1)
            )

    carls.edge(put)
    carls.send(relay, 32 * MB)
    since = Step.MONTH.first_of(carls.clock(), 3)
    months = carls.edge.read(queries.series, step=Step.MONTH, since=since, user_id=carls.user_id)
    assert [(one.begins_at, one.sent_bytes // MB) for one in months] == [
        (january, 6),
        (february, 24),
        (march, 32),
    ]
    of_server = carls.edge.read(queries.server_series, step=Step.MONTH, since=since)
    assert [(one.begins_at, one.nic_bytes // MB, one.relay_bytes) for one in of_server] == [
        (january, 6, 2),
        (february, 24, 2),
    ]


def test_steps_begin_where_the_first_of_them_does() -> None:
    now = datetime(2026, 1, 31, 16, 5, tzinfo=UTC)  # the first of February in Beijing
    assert Step.HOUR.first_of(now, 2) == datetime(2026, 1, 31, 15, tzinfo=UTC)
    assert Step.DAY.first_of(now, 2) == datetime(2026, 1, 30, 16, tzinfo=UTC)
    assert Step.MONTH.first_of(now, 1) == datetime(2026, 1, 31, 16, tzinfo=UTC)
    assert Step.MONTH.first_of(now, 3) == datetime(2025, 11, 30, 16, tzinfo=UTC)
    assert Step.MONTH.first_of(now, 15) == datetime(2024, 11, 30, 16, tzinfo=UTC)


def test_old_hours_are_forgotten_one_at_a_time(carls: Customer) -> None:
    carls.send(carls.relays[0], MB)
    carls.clock.now = at(9)
    roll(carls.edge)
    carls.clock.advance(days=61)
    assert not carls.edge(rollups.forget_oldest)
    carls.clock.advance(days=2)
    while carls.edge(rollups.forget_oldest):
        pass
    assert sums(carls.edge, TrafficHour) == []


@pytest.mark.parametrize(
    ("nic", "relays", "odd"),
    [
        (0, 500 * MB, None),
        (540 * MB, 500 * MB, None),
        (700 * MB, 500 * MB, None),
        (300 * MB, 500 * MB, "relays"),
        (900 * MB, 500 * MB, "card"),
        (40 * MB, 0, None),
    ],
)
def test_drift_is_told_from_overhead(nic: int, relays: int, odd: str | None) -> None:
    assert rollups.drift(nic_bytes=nic, relay_bytes=relays) == odd


def test_drift_raises_an_alert_that_ends_by_itself(
    edge: Edge, clock: MovableClock, add_server: Callable[..., int]
) -> None:
    server = add_server()

    def open_alerts(work: UnitOfWork) -> list[str]:
        found = select(SystemAlert.alert_type).where(~SystemAlert.resolved)
        return list(work.session.scalars(found))

    for sent, expected in ((1, []), (900 * MB, ["traffic_drift"]), (910 * MB, [])):
        clock.advance(hours=1)
        edge(cards.record_cards, cards={server: CardReading(sent, clock())})
        edge(rollups.roll_servers)
        assert edge.read(open_alerts) == expected

    def hours(work: UnitOfWork) -> int:
        return sum(work.session.scalars(select(ServerHour.nic_bytes)))

    assert edge.read(hours) == 910 * MB - 1
