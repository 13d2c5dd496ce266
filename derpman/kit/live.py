"""Live pages by server-sent events: one poller per process and topic, no session held."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

POLL_SECONDS = 5.0
KEEPALIVE_SECONDS = 15.0
MAX_STREAMS = 2000

EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
"""For the `responses` of a route that answers with a stream."""

Fetch = Callable[[], dict[str, Any] | None]
"""Reads what a topic shows now, in a thread; None ends the stream."""


class Live:
    """Hands each topic's newest picture to every browser that watches it."""

    def __init__(self) -> None:
        self._topics: dict[str, _Topic] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams = 0

    def nudge(self, wake_topic: str) -> None:
        """Make pollers look at once: called from the wake listener's thread."""
        if self._loop is not None and wake_topic.startswith("live"):
            self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        for topic in self._topics.values():
            topic.look.set()

    async def _watch(self, name: str, fetch: Fetch) -> AsyncIterator[dict[str, Any] | None]:
        self._loop = asyncio.get_running_loop()
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = _Topic(fetch)
        topic.watchers += 1
        seen = 0

        def is_new() -> bool:
            return topic.version > seen

        try:
            while True:
                async with topic.changed:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(KEEPALIVE_SECONDS):
                            await topic.changed.wait_for(is_new)
                if is_new():
                    seen = topic.version
                    yield topic.picture
                    if topic.picture is None:
                        return
                else:
                    yield {}
        finally:
            topic.watchers -= 1
            if topic.watchers == 0:
                topic.poller.cancel()
                self._topics.pop(name, None)

    def stream(self, request: Request, name: str, fetch: Fetch) -> StreamingResponse:
        """Return an event stream of a topic's pictures, each sent when it differs from the last."""

        async def lines() -> AsyncIterator[str]:
            self._streams += 1
            pictures = self._watch(name, fetch)
            try:
                yield "retry: 2000\n\n"
                async for picture in pictures:
                    if picture is None:
                        yield "event: end\ndata: {}\n\n"
                    elif picture:
                        yield f"data: {json.dumps(picture, separators=(',', ':'), default=str)}\n\n"
                    else:  # an event and no comment: scripts do not see those
                        yield "event: still\ndata: {}\n\n"
                    if await request.is_disconnected():
                        return
            finally:
                self._streams -= 1
                await pictures.aclose()  # pyright: ignore[reportAttributeAccessIssue] # a generator

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(lines(), media_type="text/event-stream", headers=headers)

    @property
    def is_full(self) -> bool:
        """Tell whether this process carries as many streams as it should."""
        return self._streams >= MAX_STREAMS


class _Topic:
    def __init__(self, fetch: Fetch) -> None:
        self.fetch = fetch
        self.picture: dict[str, Any] | None = {}
        self.version = 0
        self.watchers = 0
        self.changed = asyncio.Condition()
        self.look = asyncio.Event()
        self.poller = asyncio.create_task(self._poll())

    async def _poll(self) -> None:
        while True:
            self.look.clear()
            picture = await run_in_threadpool(self.fetch)
            if picture != self.picture:
                async with self.changed:
                    self.picture = picture
                    self.version += 1
                    self.changed.notify_all()
            if picture is None:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self.look.wait()
