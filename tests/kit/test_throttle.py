"""Tries are counted in a moving window, apart for each place."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
import time_machine

from derpman.kit.guards import Guards, TooManyTries
from derpman.kit.throttle import Limit, Throttle, network_of

THREE = Limit("three", 3, 60)


def test_the_fourth_try_waits_until_the_first_is_a_minute_old() -> None:
    throttle = Throttle()
    with time_machine.travel("2026-03-01T08:00:00Z", tick=False) as clock:
        assert [throttle.take(THREE, "a") for _ in range(3)] == [0, 0, 0]
        clock.shift(20)
        assert throttle.wait(THREE, "a") == 40
        assert throttle.take(THREE, "a") == 40
        assert throttle.take(THREE, "b") == 0
        clock.shift(timedelta(seconds=41))
        assert throttle.wait(THREE, "a") == 0
        assert throttle.take(THREE, "a") == 0


def test_who_has_shown_that_he_may_begins_anew() -> None:
    throttle = Throttle()
    for _ in range(3):
        throttle.take(THREE, "a")
    assert throttle.wait(THREE, "a") > 0
    throttle.forget(THREE, "a")
    assert throttle.wait(THREE, "a") == 0


def test_without_its_redis_a_process_counts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    throttle = Throttle("redis://127.0.0.1:1/0")

    def away(*_: object) -> bool:
        raise redis.ConnectionError

    for name in ("hit", "test", "clear"):
        monkeypatch.setattr(throttle._shared, name, away)
    assert [throttle.take(THREE, "a") > 0 for _ in range(4)] == [False, False, False, True]
    throttle.forget(THREE, "a")
    assert throttle.wait(THREE, "a") == 0


def test_the_refusal_says_when_to_come_back() -> None:
    guards = Guards(Throttle(), session_days=30, support_contact="", is_https=True)
    for _ in range(3):
        guards.take(THREE, "a")
    with pytest.raises(TooManyTries) as refused:
        guards.check(THREE, "a")
    assert 1 <= refused.value.retry_after_seconds <= 60


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("testclient", "testclient"),
    ],
)
def test_one_household_is_one_place(ip: str, network: str) -> None:
    assert network_of(ip) == network
