"""The scheduler's turn in a real Redis: one has it, it is handed over, and Redis may forget it."""

from __future__ import annotations

import threading
import time

import pytest

from derpman.kit import turn
from derpman.kit.turn import RedisTurn
from tests.system.processes import wait_until
from tests.system.services import Redis


class Scheduler:
    """Somebody who waits for the turn, and knows whether he has it."""

    def __init__(self, url: str) -> None:
        self.has_it = threading.Event()
        self.lost = threading.Event()
        self.turn = RedisTurn(url, "test", self.lost.set)
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def _play(self) -> None:
        self.turn.wait()
        self.has_it.set()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "HELD_SECONDS", 2.0)
    monkeypatch.setattr(turn, "KEPT_EVERY_SECONDS", 0.3)
    monkeypatch.setattr(turn, "ASKED_EVERY_SECONDS", 0.1)


@pytest.fixture
def url(redis: Redis, quick: None) -> str:
    return redis.fresh()


def test_one_has_the_turn_until_he_hands_it_over(url: str) -> None:
    first = Scheduler(url)
    assert first.has_it.wait(10)
    second = Scheduler(url)
    time.sleep(3)  # longer than a turn lasts that is not kept
    assert not second.has_it.is_set()
    first.turn.end()
    handed = time.monotonic()
    assert second.has_it.wait(10)
    assert time.monotonic() - handed < turn.HELD_SECONDS  # it did not have to run out
    second.turn.end()


def test_who_finds_another_in_his_turn_gives_up(url: str, redis: Redis) -> None:
    first = Scheduler(url)
    assert first.has_it.wait(10)
    with redis.client() as client:
        client.set("derpman:turn:test", "somebody else")
    assert first.lost.wait(10)


def test_a_redis_that_forgot_gives_the_turn_back(url: str, redis: Redis) -> None:
    first = Scheduler(url)
    assert first.has_it.wait(10)
    with redis.client() as client:
        client.flushall()
        wait_until(lambda: client.get("derpman:turn:test"), 10, "the turn is taken again")
        assert not first.lost.is_set()
        redis_is_away(redis)
        wait_until(lambda: client.get("derpman:turn:test"), 20, "the turn is taken again")
    assert not first.lost.is_set()
    first.turn.end()


def redis_is_away(redis: Redis) -> None:
    redis.kill()
    time.sleep(3)
    redis.start()
