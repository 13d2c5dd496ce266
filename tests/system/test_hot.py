"""Processes share what everybody looks at through a real Redis."""

from __future__ import annotations

import time

from pydantic import BaseModel

from derpman.kit.hot import KEY, Hot
from tests.system.services import Redis


class Count(BaseModel):
    value: int


def test_a_second_process_takes_what_the_first_has_read(redis: Redis) -> None:
    url = redis.fresh()
    first = Hot("x", Count, seconds=4, redis_url=url)
    second = Hot("x", Count, seconds=4, redis_url=url)
    other = Hot("y", Count, seconds=4, redis_url=url)
    assert first.get(lambda: Count(value=1)).value == 1
    assert second.get(lambda: Count(value=2)).value == 1
    assert other.get(lambda: Count(value=3)).value == 3
    time.sleep(2.2)  # half of it, after which Redis has it no more
    assert second.get(lambda: Count(value=4)).value == 4


def test_what_another_version_wrote_is_not_taken(redis: Redis) -> None:
    url = redis.fresh()
    with redis.client() as client:
        client.set(f"{KEY}x", '{"other": "shape"}')
    assert Hot("x", Count, seconds=4, redis_url=url).get(lambda: Count(value=5)).value == 5
    redis.kill()
    hot = Hot("z", Count, seconds=4, redis_url=url)
    assert hot.get(lambda: Count(value=6)).value == 6
    redis.start()
