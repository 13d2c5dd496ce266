"""What everybody looks at is read once in a while, by one of those who ask."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from pydantic import BaseModel

from derpman.kit.hot import Hot


class Count(BaseModel):
    value: int


class Source:
    """Counts how often it is read, slowly."""

    def __init__(self) -> None:
        self.reads = 0
        self._lock = threading.Lock()

    def read(self) -> Count:
        with self._lock:
            self.reads += 1
        time.sleep(0.02)
        return Count(value=self.reads)


def test_a_value_is_read_anew_when_it_is_too_old() -> None:
    now = 0.0
    source = Source()
    hot = Hot("x", Count, seconds=4, monotonic=lambda: now)
    assert [hot.get(source.read).value for _ in range(3)] == [1, 1, 1]
    now = 4.0
    assert hot.get(source.read).value == 1
    now = 4.1
    assert hot.get(source.read).value == 2


def test_many_at_once_are_one_read() -> None:
    source = Source()
    hot = Hot("x", Count, seconds=4)
    with ThreadPoolExecutor(16) as pool:
        values = {one.value for one in pool.map(lambda _: hot.get(source.read), range(64))}
    assert values == {1}
    assert source.reads == 1


def test_a_redis_that_is_away_is_done_without() -> None:
    source = Source()
    hot = Hot("x", Count, seconds=4, redis_url="redis://127.0.0.1:1/0")
    assert hot.get(source.read).value == 1
    assert hot.get(source.read).value == 1
