"""The servers' worker: holds servers by leases, and keeps one link to each of them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import socket
import time
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog

from derpman.kit.wake import Wake
from derpman.kit.work import Edge
from derpman.servers import health, leases, transports
from derpman.servers.errors import LeaseLost
from derpman.servers.link import Connect, Link, Panel
from derpman.servers.release import RelayImage, built_image, sign

RENEW_SECONDS = 5.0
POLL_SECONDS = 3.0
TICK_SECONDS = 1.0
SILENT_SECONDS = 20.0
"""After so long without a word a server counts as unhealthy."""
END_SECONDS = 5.0
TAKE_AT_ONCE = 16
"""Free servers taken in one go: workers that start together share what there is."""
THREADS = 8
"""Transactions at once. Each server has at most three under way, so one cannot use them up."""

log = structlog.get_logger(__name__)
Beside = Callable[["Fleet"], Coroutine[Any, Any, None]]


class Fleet:
    """One worker's links. Several workers may run: each server is one worker's at a time."""

    def __init__(
        self,
        *,
        edge: Edge,
        wake: Wake,
        panel: Panel,
        build_dir: Path,
        connect: Connect = transports.connect,
        worker: str | None = None,
        beside: Beside | None = None,
    ) -> None:
        """`beside` runs as long as the fleet does and may use its links; it must not raise."""
        self.worker = worker or f"{socket.gethostname()[:32]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.links: dict[int, Link] = {}
        self._edge = edge
        self._wake = wake
        self._panel = panel
        self._build_dir = build_dir
        self._connect = connect
        self._beside = beside
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="servers")
        self._awake = asyncio.Event()
        self._image: RelayImage | None = None
        self._signing = asyncio.Lock()
        self._renewed_at = 0.0

    async def run(self) -> None:
        """Work until cancelled; then let go of every server, so that the next worker can begin."""
        loop = asyncio.get_running_loop()

        def heard(topic: str) -> None:
            if topic == "servers":
                with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(self._awake.set)

        unlisten = self._wake.listen(heard)
        beside = asyncio.create_task(self._beside(self)) if self._beside else None
        try:
            await self._keep()
        finally:
            unlisten()
            if beside is not None:
                beside.cancel()
                await asyncio.gather(beside, return_exceptions=True)
            await self._end(list(self._tasks))
            with contextlib.suppress(Exception):  # the leases run out by themselves
                async with asyncio.timeout(END_SECONDS):
                    await self._in_thread(self._edge, leases.hand_back, self.worker)
                    end = functools.partial(self._threads.shutdown, cancel_futures=True)
                    await asyncio.to_thread(end)  # transactions under way come to their end

    async def write(self, verb: Callable[..., Any], /, *args: Any) -> Any:
        """Run `verb(work, worker, *args)` as one transaction, off the event loop."""
        return await self._in_thread(self._edge, verb, self.worker, *args)

    async def read(self, verb: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run `verb(work, …)`, which only reads, off the event loop."""
        return await self._in_thread(self._edge.read, verb, *args, **kwargs)

    async def image(self) -> RelayImage | None:
        """Return the relay image for servers that have none, signed; None when none was built."""
        async with self._signing:
            if self._image is None:
                built = await self._in_thread(built_image, self._build_dir)
                if built is not None:
                    verb = functools.partial(sign, label=built.label, sha256=built.sha256)
                    self._image = built.signed(await self._in_thread(self._edge, verb))
            return self._image

    async def _keep(self) -> None:
        looked_at = 0.0
        while True:
            woken = self._awake.is_set()
            self._awake.clear()
            try:
                if woken or time.monotonic() - looked_at >= POLL_SECONDS:
                    looked_at = time.monotonic()
                    await self._look()  # first: a customer may be waiting
                if time.monotonic() - self._renewed_at >= RENEW_SECONDS:
                    await self._renew()
                await self._find_silent()
            except Exception:  # the database is away: links go on while leases last
                log.warning("servers' worker could not read or write", exc_info=True)
            await self._drop_ended()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._awake.wait()

    async def _look(self) -> None:
        look = await self.read(leases.look, self.worker)
        for server_id in look.behind:
            if server_id in self.links:
                self.links[server_id].nudge()
        if look.has_free:
            await self._renew()

    async def _renew(self) -> None:
        began = time.monotonic()
        held: set[int] = await self.write(leases.renew, TAKE_AT_ONCE)
        self._renewed_at = began
        await self._end([server_id for server_id in self._tasks if server_id not in held])
        new = held - set(self._tasks)
        if len(new) == TAKE_AT_ONCE:
            self._awake.set()  # there may be more, and other workers have had their turn
        for server_id in new:
            link = Link(
                server_id,
                desk=self,
                panel=self._panel,
                connect=self._connect,
                image=self.image,
            )
            self.links[server_id] = link
            self._tasks[server_id] = asyncio.create_task(link.run(), name=f"server-{server_id}")

    async def _find_silent(self) -> None:
        for server_id, link in list(self.links.items()):
            if link.silent_seconds > SILENT_SECONDS and not link.is_lost:
                with contextlib.suppress(LeaseLost):
                    evidence = {"silent_seconds": round(link.silent_seconds)}
                    await self.write(health.change, server_id, "lose", health.NO_CONTACT, evidence)
                    link.is_lost = True

    async def _drop_ended(self) -> None:
        if time.monotonic() - self._renewed_at > leases.LEASE.total_seconds():
            await self._end(list(self._tasks))  # others may hold these servers by now
        await self._end([server_id for server_id, task in self._tasks.items() if task.done()])

    async def _end(self, server_ids: list[int]) -> None:
        tasks = [self._tasks.pop(server_id) for server_id in server_ids]
        for server_id in server_ids:
            del self.links[server_id]
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, LeaseLost):
                log.info("server handed over", server=result.args[0])
            elif isinstance(result, Exception):
                log.error("link failed", exc_info=result)

    async def _in_thread(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        call = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def run_forever(fleet: Fleet) -> None:
    """Run a fleet in this process until SIGTERM or SIGINT."""

    async def main() -> None:
        task = asyncio.ensure_future(fleet.run())
        loop = asyncio.get_running_loop()
        for sign_ in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign_, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())
