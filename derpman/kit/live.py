"""Live pages by server-sent events: one poller per process and topic, no session held."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

POLL_SECONDS = 5.0
KEEPALIVE_SECONDS = 15.0
GUARD_SECONDS = 0.8
"""How often it is asked who still may watch: a session that ends takes its streams with it."""
MAX_STREAMS = 2000

log = structlog.get_logger(__name__)

EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
"""For the `responses` of a route that answers with a stream."""

Fetch = Callable[[], dict[str, Any] | None]
"""Reads what a topic shows now, in a thread; None ends the stream."""

StillMay = Callable[[Sequence[Request]], Sequence[bool]]
"""Tells of each request whether who made it still may, in a thread; all in one go."""


class Live:
    """Hands each topic's newest picture to every browser that watches it."""

    def __init__(self, still_may: StillMay | None = None) -> None:
        self._still_may = still_may
        self._topics: dict[str, _Topic] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams: set[_Stream] = set()
        self._guard: asyncio.Task[None] | None = None
        self._doubt = asyncio.Event()

    def nudge(self, wake_topic: str) -> None:
        """Make pollers look at once: called from the wake listener's thread."""
        if self._loop is None:
            return
        if wake_topic.startswith("live"):
            self._loop.call_soon_threadsafe(self._look)
        elif wake_topic == "sessions":
            self._loop.call_soon_threadsafe(self._doubt.set)

    def _look(self) -> None:
        for topic in self._topics.values():
            topic.look.set()

    async def _guard_streams(self) -> None:
        """End the streams of those who may not watch any more, for as long as there are streams."""
        assert self._still_may is not None  # else there is no guard
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GUARD_SECONDS):
                    await self._doubt.wait()
            self._doubt.clear()
            streams = list(self._streams)
            try:
                allowed = await run_in_threadpool(
                    self._still_may, [stream.request for stream in streams]
                )
            except Exception:  # the database is away: nobody can end a session now either
                log.warning("streams not looked at", exc_info=True)
                continue
            for stream, may in zip(streams, allowed, strict=True):
                if not may:
                    stream.has_ended = True
            await self._tell()

    async def cut(self) -> None:
        """Close every stream, because the process ends; browsers come back to another."""
        for stream in self._streams:
            stream.is_cut = True
        await self._tell()

    async def _tell(self) -> None:
        for topic in list(self._topics.values()):
            async with topic.changed:
                topic.changed.notify_all()

    async def _watch(
        self, name: str, fetch: Fetch, stream: _Stream
    ) -> AsyncIterator[dict[str, Any] | None]:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = _Topic(fetch)
        topic.watchers += 1
        seen = 0

        def is_new() -> bool:
            return topic.version > seen or stream.has_ended or stream.is_cut

        try:
            while True:
                async with topic.changed:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(KEEPALIVE_SECONDS):
                            await topic.changed.wait_for(is_new)
                if stream.is_cut:
                    return
                if stream.has_ended:
                    yield None
                    return
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
            stream = self._begin(request)
            pictures = self._watch(name, fetch, stream)
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
                self._end(stream)
                await pictures.aclose()  # pyright: ignore[reportAttributeAccessIssue] # a generator

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(lines(), media_type="text/event-stream", headers=headers)

    def _begin(self, request: Request) -> _Stream:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._guard, self._doubt = loop, None, asyncio.Event()
        stream = _Stream(request)
        self._streams.add(stream)
        if self._guard is None and self._still_may is not None:
            self._guard = asyncio.create_task(self._guard_streams())
        return stream

    def _end(self, stream: _Stream) -> None:
        self._streams.discard(stream)
        if not self._streams and self._guard is not None:
            self._guard.cancel()
            self._guard = None

    @property
    def is_full(self) -> bool:
        """Tell whether this process carries as many streams as it should."""
        return len(self._streams) >= MAX_STREAMS


class _Stream:
    """One browser that watches."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.has_ended = False
        self.is_cut = False


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
