"""Live pages: one poller for all who watch, every change shown, an end that is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from derpman.kit.live import Live


class Picture:
    def __init__(self) -> None:
        self.value: dict[str, Any] | None = {"number": 0}
        self.reads = 0
        self._lock = threading.Lock()

    def fetch(self) -> dict[str, Any] | None:
        with self._lock:
            self.reads += 1
            return self.value


def request() -> Request:
    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    return Request({"type": "http", "headers": []}, receive)


async def collect(live: Live, picture: Picture, seen: list[str]) -> None:
    response = live.stream(request(), "rental:1", picture.fetch)
    async for line in response.body_iterator:
        seen.append(str(line))  # noqa: PERF401 # as they come


async def until(seen: list[str], text: str) -> None:
    async with asyncio.timeout(10):
        while not any(text in line for line in seen):  # noqa: ASYNC110 # another task fills it
            await asyncio.sleep(0.005)


def test_watchers_share_a_poller_and_see_changes_and_the_end() -> None:
    async def scene() -> None:
        live, picture = Live(), Picture()
        first: list[str] = []
        second: list[str] = []
        tasks = [asyncio.create_task(collect(live, picture, seen)) for seen in (first, second)]
        for seen in (first, second):
            await until(seen, '{"number":0}')
        assert picture.reads == 1
        picture.value = {"number": 1}
        live.nudge("live")
        for seen in (first, second):
            await until(seen, '{"number":1}')
        picture.value = None
        live.nudge("live")
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks)
        assert first[-1].startswith("event: end")

    asyncio.run(scene())


def test_poller_ends_with_its_last_watcher() -> None:
    async def scene() -> None:
        live, picture = Live(), Picture()
        seen: list[str] = []
        task = asyncio.create_task(collect(live, picture, seen))
        await until(seen, "number")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(10):
            while asyncio.all_tasks() != {asyncio.current_task()}:  # noqa: ASYNC110 # no event
                await asyncio.sleep(0.005)

    asyncio.run(scene())


def test_streams_of_those_who_may_no_longer_watch_end_and_others_do_not() -> None:
    async def scene() -> None:
        gone: set[int] = set()
        asked: list[int] = []

        def still_may(requests: Sequence[Request]) -> list[bool]:
            asked.append(len(requests))
            return [id(one) not in gone for one in requests]

        live, picture = Live(still_may), Picture()
        requests = [request(), request()]
        seen: list[list[str]] = [[], []]

        async def watch(number: int) -> None:
            response = live.stream(requests[number], "rental:1", picture.fetch)
            async for line in response.body_iterator:
                seen[number].append(str(line))

        tasks = [asyncio.create_task(watch(number)) for number in (0, 1)]
        for lines in seen:
            await until(lines, "number")
        gone.add(id(requests[0]))
        live.nudge("sessions")
        async with asyncio.timeout(10):
            await tasks[0]
        assert seen[0][-1].startswith("event: end")
        assert set(asked) == {2}, "all are asked about in one go"
        assert not tasks[1].done()
        gone.add(id(requests[1]))  # and the hint is lost
        async with asyncio.timeout(10):
            await tasks[1]
            while asyncio.all_tasks() != {asyncio.current_task()}:  # noqa: ASYNC110 # no event
                await asyncio.sleep(0.005)

    asyncio.run(scene())
