"""Who is too fast, who used his traffic up, and whose hour is unlike his past: and near misses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from derpman.alerts import rules
from derpman.kit.work import Edge, UnitOfWork
from derpman.servers.models import ServerLink
from derpman.traffic import anomalies, service
from derpman.traffic.models import TrafficHour
from tests.traffic.conftest import MB, Customer

GB = 1_000_000_000
WEEK = timedelta(days=7)


@pytest.fixture
def roomy(customer: Callable[..., Customer]) -> Customer:
    return customer(limit=100_000 * GB)


def rate(one: Customer, megabytes_per_second: float, *, minutes: int = 1) -> list[float]:
    """Send so fast for so long, as seen by a sweep each minute; return what it found."""
    found: list[float] = []
    for _ in range(minutes):
        one.send(one.relays[0], round(megabytes_per_second * MB * 60), seconds=60)
        live(one, {one.relays[0]: round(megabytes_per_second * MB)})
        found = [
            finding.params["megabytes_per_second"] for finding in one.edge(anomalies.watch_rates)
        ]
    return found


def live(one: Customer, rates: dict[int, int]) -> None:
    def write(work: UnitOfWork) -> None:
        for relay, server_id in one.server_of.items():
            told = {str(relay): rates[relay]} if relay in rates else {}
            work.session.execute(
                update(ServerLink)
                .where(ServerLink.server_id == server_id)
                .values(rates=json.dumps(told), contact_at=work.now)
            )

    one.edge(write)


def test_too_fast_for_as_long_as_the_rule_says(roomy: Customer):
    assert rate(roomy, 30, minutes=10) == []
    assert rate(roomy, 30) == [30.0]
    assert rate(roomy, 30, minutes=9) == [30.0]
    assert rate(roomy, 30, minutes=5) == [30.0]


def test_over_when_it_is_slow_again(roomy: Customer):
    assert rate(roomy, 30, minutes=11) == [30.0]
    assert rate(roomy, 1, minutes=9) == [30.0], "not before a whole window was slow"
    assert rate(roomy, 1, minutes=2) == []
    assert rate(roomy, 0, minutes=20) == []


def test_just_below_is_nothing(roomy: Customer):
    assert rate(roomy, 24.9, minutes=40) == []


def test_a_burst_is_nothing(roomy: Customer):
    assert rate(roomy, 200, minutes=1) == []
    assert rate(roomy, 2, minutes=20) == []


def test_three_relays_count_together(roomy: Customer, edge: Edge):
    found = []
    for _ in range(12):
        for relay in roomy.relays:
            roomy.send(relay, 10 * MB * 60, seconds=20)
        live(roomy, dict.fromkeys(roomy.relays, 10 * MB))
        found = edge(anomalies.watch_rates)
    assert [finding.params["megabytes_per_second"] for finding in found] == [30.0]


def test_those_who_are_slow_are_not_touched(roomy: Customer, statements: list[str]):
    rate(roomy, 1)
    statements.clear()
    roomy.edge(anomalies.watch_rates)
    assert [one.split()[0] for one in statements] == ["SELECT"] * len(statements)
    assert len(statements) <= 4  # the rule, the watches, the servers and what their relays send


def test_a_rule_that_is_off_finds_nothing(roomy: Customer, edge: Edge):
    assert rate(roomy, 30, minutes=11) == [30.0]
    rule = edge.read(rules.rule, rules.RATE_TOO_HIGH)
    edge(rules.edit, wanted=replace(rule, is_enabled=False))
    assert edge(anomalies.watch_rates) == []


def test_used_up_and_near_to_it(carls: Customer, edge: Edge):
    carls.send(carls.relays[0], 999 * MB)
    assert edge.read(anomalies.used_up) == []
    carls.send(carls.relays[0], 2 * MB)
    (finding,) = edge.read(anomalies.used_up)
    assert finding.params["limit_gigabytes"] == 1.0
    edge(service.grant, user_id=carls.user_id, granted_bytes=100 * MB, reason="more")
    assert edge.read(anomalies.used_up) == []


def hours(one: Customer, sent: Mapping[datetime, float]) -> None:
    """Write what the first relay sent in hours, in GB, as roll-ups have it."""
    relay = one.relays[0]

    def write(work: UnitOfWork) -> None:
        work.session.add_all(
            TrafficHour(
                placement_id=relay,
                begins_at=begins_at,
                server_id=one.server_of[relay],
                user_id=one.user_id,
                sent_bytes=round(size * GB),
            )
            for begins_at, size in sent.items()
        )

    one.edge(write)


@pytest.fixture
def hour(roomy: Customer) -> datetime:
    """The hour that is judged at the time of the test."""
    roomy.clock.now = datetime.fromisoformat("2026-05-04T09:20:00+00:00")
    return datetime.fromisoformat("2026-05-04T08:00:00+00:00")


def found(one: Customer) -> Sequence[tuple[float, float]]:
    return [
        (finding.params["gigabytes"], finding.params["usual_gigabytes"])
        for finding in one.edge.read(anomalies.sudden_changes)
    ]


def test_far_more_than_in_the_weeks_before(roomy: Customer, hour: datetime):
    hours(roomy, {hour - WEEK * week: 1 for week in (1, 2, 3, 4)} | {hour: 12})
    assert found(roomy) == [(12.0, 1.0)]


def test_over_with_the_next_hour_that_is_as_usual(roomy: Customer, hour: datetime):
    hours(roomy, {hour - WEEK * week: 1 for week in (1, 2, 3, 4)} | {hour: 12})
    roomy.clock.advance(hours=1)
    assert found(roomy) == []


@pytest.mark.parametrize(
    ("past", "now", "why"),
    [
        ({1: 1, 2: 1, 3: 1, 4: 1}, 9.9, "less than ten times as much"),
        ({1: 0.1, 2: 0.1, 3: 0.1, 4: 0.1}, 4.9, "too little to matter"),
        ({1: 40, 2: 0, 3: 0, 4: 0}, 50, "he did so before"),
        ({1: 30, 2: 30, 3: 30, 4: 30}, 60, "a weekly job that grew"),
        ({}, 80, "he has no past at all"),
        ({1: 1}, 80, "one week is no past"),
    ],
)
def test_near_misses(roomy: Customer, hour: datetime, past: dict, now: float, why: str):
    hours(roomy, {hour - WEEK * week: size for week, size in past.items()} | {hour: now})
    assert found(roomy) == [], why


def test_a_weekly_job_that_begins_an_hour_later(roomy: Customer, hour: datetime):
    earlier = {hour - WEEK * week - timedelta(hours=1): 20 for week in (1, 2, 3, 4)}
    hours(roomy, earlier | {hour: 20})
    assert found(roomy) == []


def test_the_same_amount_at_another_time_of_the_week(roomy: Customer, hour: datetime):
    elsewhere = {hour - WEEK * week - timedelta(days=2): 20 for week in (1, 2, 3, 4)}
    hours(roomy, elsewhere | {hour: 20})
    assert found(roomy) == [(20.0, 0.0)]


def test_only_those_who_sent_much_are_looked_at(
    roomy: Customer, hour: datetime, statements: list[str]
):
    hours(roomy, {hour: 1})
    statements.clear()
    assert found(roomy) == []
    assert len(statements) == 2  # the rule, and who sent much
