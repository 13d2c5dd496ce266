"""A panel that wants what a test says, and fleets of fake servers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from derpman.kit.work import Edge, UnitOfWork
from derpman.servers import service
from derpman.servers.fleet import Fleet
from derpman.servers.models import Server, ServerLink
from derpman.servers.transports import fake


async def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait for something to become true, and return what it then is."""
    async with asyncio.timeout(seconds):
        while not (found := condition()):  # noqa: ASYNC110 # what is waited for is in a database
            await asyncio.sleep(0.01)
        return found


def relay(relay_id: int, **changes: Any) -> dict[str, Any]:
    return {"id": relay_id, "generation": 1, "running": True, "devices": [], **changes}


@dataclass
class TestPanel:
    """Wants `relays` on every server, and remembers what it was told."""

    __test__ = False

    relays: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    seen: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)

    def desired(self, work: UnitOfWork, *, server_id: int, force: bool) -> Mapping[str, Any] | None:
        wanted, applied = work.session.execute(
            select(Server.desired_generation, ServerLink.applied_generation)
            .join(ServerLink, ServerLink.server_id == Server.id)
            .where(Server.id == server_id)
        ).one()
        if wanted == applied and not force:
            return None
        return {"generation": wanted, "relays": self.relays.get(server_id, [])}

    def observed(self, work: UnitOfWork, *, server_id: int, snapshot: Mapping[str, Any]) -> None:
        self.seen.append((server_id, snapshot))

    def states(self, server_id: int) -> dict[int, str]:
        """Return the newest state of each relay that the panel heard of."""
        found: dict[int, str] = {}
        for seen_id, snapshot in self.seen:
            if seen_id == server_id:
                found.update({row["id"]: row["state"] for row in snapshot["relays"]})
        return found


class Wakes:
    """Hands topics on at once, inside this process."""

    def __init__(self) -> None:
        self._heard: list[Callable[[str], None]] = []
        self._lock = threading.Lock()

    def send(self, topics: Any) -> None:
        for topic in topics:
            for heard in list(self._heard):
                heard(topic)

    def listen(self, heard: Callable[[str], None]) -> Callable[[], None]:
        with self._lock:
            self._heard.append(heard)
        return lambda: self._heard.remove(heard)


@pytest.fixture
def wakes() -> Wakes:
    return Wakes()


@pytest.fixture
def live_edge(edge: Edge, wakes: Wakes) -> Edge:
    """An edge on the real clock, whose wake-ups reach the fleet."""
    return replace(edge, wake=wakes.send, clock=lambda: datetime.now(UTC))


@pytest.fixture
def panel() -> TestPanel:
    return TestPanel()


@pytest.fixture(autouse=True)
def _no_old_nodes() -> None:
    fake._nodes.clear()


@dataclass
class World:
    """Everything a test of links needs."""

    edge: Edge
    wakes: Wakes
    panel: TestPanel
    build_dir: Any

    def fleet(self, worker: str | None = None) -> Fleet:
        return Fleet(
            edge=self.edge,
            wake=self.wakes,
            panel=self.panel,
            build_dir=self.build_dir,
            worker=worker,
        )

    @asynccontextmanager
    async def running(self, fleet: Fleet) -> AsyncGenerator[Fleet]:
        task = asyncio.create_task(fleet.run())
        try:
            yield fleet
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def want(self, server_id: int, *relays: dict[str, Any]) -> None:
        """Change what is wanted on a server, as placements do."""
        self.panel.relays[server_id] = list(relays)
        self.edge(service.touch, server_ids=[server_id])

    def server(self, server_id: int) -> Server:
        return self.edge.read(lambda work: work.session.get_one(Server, server_id))

    def link(self, server_id: int) -> ServerLink:
        return self.edge.read(lambda work: work.session.get_one(ServerLink, server_id))


@pytest.fixture
def world(live_edge: Edge, wakes: Wakes, panel: TestPanel, tmp_path: Any) -> World:
    return World(live_edge, wakes, panel, tmp_path)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's asynchronous part, with an end to it."""

    async def bounded() -> None:
        async with asyncio.timeout(150):
            await main()

    asyncio.run(bounded())
