"""One link to one server: connects, makes the node want what the panel wants, hears what is."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import structlog

from derpman.kit.work import UnitOfWork
from derpman.servers import leases
from derpman.servers.endpoints import Endpoint, endpoint
from derpman.servers.errors import LeaseLost, NodeError
from derpman.servers.node import NodeClient
from derpman.servers.protocol import Hello
from derpman.servers.release import RelayImage, send_image

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
REFUSED_PAUSE_SECONDS = 5.0
"""How long a node that refuses the desired state is left alone before it is asked again."""
CONNECT_SECONDS = 25.0

Connect = Callable[[Endpoint], Awaitable[NodeClient]]
log = structlog.get_logger(__name__)


class Panel(Protocol):
    """What the panel above wants of a server's node, and does with what the node says.

    Both are verbs: they run inside one transaction and may be run again.
    """

    def desired(self, work: UnitOfWork, *, server_id: int, force: bool) -> Mapping[str, Any] | None:
        """Return the body of `apply`; None when the node confirmed it, unless `force`."""
        ...

    def observed(self, work: UnitOfWork, *, server_id: int, snapshot: Mapping[str, Any]) -> None:
        """Record a snapshot; each is recorded exactly once, in order."""
        ...


class Desk(Protocol):
    """How links use the database: each verb one transaction, off the event loop."""

    worker: str

    async def write(self, verb: Callable[..., Any], /, *args: Any) -> Any:
        """Run `verb(work, worker, *args)` as one transaction; LeaseLost when it is not ours."""
        ...

    async def read(self, verb: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run `verb(work, …)`, which only reads."""
        ...


class Link:
    """Keeps one server's node in touch until it is cancelled or the lease is lost."""

    def __init__(
        self,
        server_id: int,
        *,
        desk: Desk,
        panel: Panel,
        connect: Connect,
        image: Callable[[], Awaitable[RelayImage | None]],
    ) -> None:
        self.server_id = server_id
        self.heard_at = time.monotonic()
        """When the node last said something; at first, when we began to listen."""
        self.began_at = time.monotonic()
        self.node: NodeClient | None = None
        """The connection while there is one, for whoever asks the node something besides."""
        self.is_lost = False
        """The row says that the server is unhealthy, or may say so."""
        self._desk = desk
        self._panel = panel
        self._connect = connect
        self._image = image
        self._news = asyncio.Event()
        self._trouble: tuple[str, str] | None = None

    def nudge(self) -> None:
        """Something else may be wanted of the server now."""
        self._news.set()

    @property
    def silent_seconds(self) -> float:
        return time.monotonic() - self.heard_at

    async def run(self) -> None:
        """Connect again and again; ends by LeaseLost or cancellation only."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = time.monotonic()
            try:
                try:
                    await self._session()
                except NodeError as error:
                    await self._report(error)
            except LeaseLost:
                raise
            except Exception:  # the database, or a fault of ours: this server waits, others do not
                log.warning("link interrupted", server=self.server_id, exc_info=True)
            if time.monotonic() - began > LONGEST_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 # spreads, protects nothing
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _session(self) -> None:
        where = await self._desk.read(endpoint, self.server_id)
        async with _connected(self._connect, where) as node:
            hello = await node.hello()
            link = await self._desk.write(leases.record_hello, self.server_id, hello)
            self._trouble = None
            self.heard_at = time.monotonic()
            # A node that lost its state, or another one at the same address, starts anew.
            force = hello.generation != link.applied_generation
            self.node = node
            try:
                await _first_end(
                    self._converge(node, force),
                    self._observe(node, link.cursor),
                    self._equip(node, hello),
                )
            finally:
                self.node = None

    async def _converge(self, node: NodeClient, force: bool) -> None:
        while True:
            self._news.clear()
            wanted = await self._desk.read(
                self._panel.desired, server_id=self.server_id, force=force
            )
            if wanted is not None:
                try:
                    await node.apply(wanted)
                except NodeError as error:
                    if not await self._settle(node, error):
                        raise
                    continue
                await self._desk.write(leases.record_applied, self.server_id, wanted["generation"])
                if self._trouble is not None:
                    await self._note("", "")
            force = False
            await self._news.wait()

    async def _settle(self, node: NodeClient, error: NodeError) -> bool:
        """Deal with a refusal of the node; False when the connection itself is at fault."""
        if error.code.startswith("server."):
            return False
        if error.code == "apply.stale":
            generation = (await node.hello()).generation
            await self._desk.write(leases.overtake, self.server_id, generation)
            return True
        await self._note(error.code, error.detail)
        async with _patience(REFUSED_PAUSE_SECONDS):
            await self._news.wait()
        return True

    async def _observe(self, node: NodeClient, cursor: str | None) -> None:
        async for snapshot in node.watch(cursor):
            self.heard_at = time.monotonic()
            await self._desk.write(leases.record_snapshot, self.server_id, snapshot, self._record)
            if snapshot["whole"]:
                self.is_lost = False

    def _record(self, work: UnitOfWork, server_id: int, snapshot: Mapping[str, Any]) -> None:
        self._panel.observed(work, server_id=server_id, snapshot=snapshot)

    async def _equip(self, node: NodeClient, hello: Hello) -> None:
        """Send the relay image where there is none; replacing one is an upgrade, done with care."""
        image = await self._image() if hello.relay_label is None else None
        if image is not None:
            try:
                await send_image(node, image)
            except NodeError as error:
                if error.code.startswith("server."):
                    raise
                await self._note(error.code, error.detail)
            else:
                await self._desk.write(leases.record_label, self.server_id, image.label)
        await asyncio.Event().wait()  # nothing more to do for as long as the session lasts

    async def _report(self, error: NodeError) -> None:
        if self._trouble != (error.code, error.detail):
            log.warning("no contact", server=self.server_id, code=error.code, detail=error.detail)
            await self._note(error.code, error.detail)

    async def _note(self, code: str, detail: str) -> None:
        await self._desk.write(leases.record_trouble, self.server_id, code or None, detail)
        self._trouble = (code, detail) if code else None


@asynccontextmanager
async def _connected(connect: Connect, where: Endpoint) -> AsyncGenerator[NodeClient]:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            node = await connect(where)
    except TimeoutError:
        raise NodeError("server.hangs", "no connection") from None
    try:
        yield node
    finally:
        await node.close()


@asynccontextmanager
async def _patience(seconds: float) -> AsyncGenerator[None]:
    """Wait for the body for so long and no longer; running out is no error."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        pass


async def _first_end(*parts: Coroutine[Any, Any, None]) -> None:
    """Run parts side by side until one ends; end the others and raise what it raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
