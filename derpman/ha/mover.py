"""Takes moves on, a step at a time: runs in the servers' worker, beside the probes.

All that it knows is in rows, and every step is a verb that does nothing twice: when it dies another
goes on where it was, and several may run at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import structlog

from derpman.ha import service
from derpman.ha.service import Limits
from derpman.kit.work import Edge
from derpman.rentals import move_orders, moves
from derpman.servers import upkeep

TICK_SECONDS = 0.25
SWEEP_SECONDS = 10.0
AT_ONCE = 20
"""Steps of one kind within a tick, so that the others are not kept waiting."""
log = structlog.get_logger(__name__)


class Mover:
    """Moves relays off servers that are dead or are to be empty, within the fleet's limits."""

    def __init__(self, edge: Edge, *, limits: Limits, after_seconds: float | None) -> None:
        """`after_seconds`: how long a server is dead before its relays move; None: never."""
        self._edge = edge
        self._limits = limits
        self._after = after_seconds
        self._asked: dict[int, float] = {}
        self._swept_at = -SWEEP_SECONDS

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            began = time.monotonic()
            try:
                is_busy = await asyncio.to_thread(self.step)
            except Exception:  # the database is away: the rows wait
                log.warning("moves could not be taken on", exc_info=True)
                is_busy = False
            if not is_busy:
                await asyncio.sleep(max(0.02, TICK_SECONDS - (time.monotonic() - began)))

    def step(self) -> bool:
        """Do what is due now; tell whether more may be."""
        self._fail_over()
        if time.monotonic() - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = time.monotonic()
            self.sweep()
        ripe = self._edge.read(move_orders.ripe, limit=AT_ONCE)
        waiting = self._edge.read(service.startable, limits=self._limits, most=AT_ONCE)
        begun = self._each(moves.begin, waiting)
        self._each(moves.go_on, ripe)
        return begun >= AT_ONCE

    def _fail_over(self) -> None:
        if self._after is None:
            return
        before = self._edge.clock() - timedelta(seconds=self._after)
        for server_id in self._edge.read(service.dead_since, before=before):
            # A relay that came there meanwhile, or a freeze that ended: asked again at times.
            if time.monotonic() - self._asked.get(server_id, -SWEEP_SECONDS) >= SWEEP_SECONDS:
                self._asked[server_id] = time.monotonic()
                asked = self._edge(service.fail_over, server_id=server_id)
                log.info("server failed over", server=server_id, moves=asked)

    def sweep(self) -> None:
        """See to what nobody waits for by the second: servers to be empty, shared servers, ends."""
        for server_id in self._edge.read(service.moving_off):
            self._edge(service.move_off, server_id=server_id)
            for placement_id in self._edge.read(moves.leftovers, server_id=server_id):
                self._edge(moves.clear, placement_id=placement_id)
        for server_id in self._edge.read(service.emptied):
            self._one(upkeep.remove_emptied, server_id=server_id)
        self._edge(moves.finish, limit=1000)
        self._edge(service.mend)
        self._edge(service.end_margin_drains)
        self._edge(service.watch, limits=self._limits)

    def _each(self, verb: Callable[..., Any], move_ids: Iterable[int]) -> int:
        done = 0
        for move_id in move_ids:
            done += self._one(verb, move_id=move_id)
        return done

    def _one(self, verb: Callable[..., Any], **arguments: Any) -> bool:
        """Run one step; one that fails keeps no other from being done."""
        try:
            self._edge(verb, **arguments)
        except Exception:  # whatever it is: other customers' moves must not wait for it
            log.warning("step failed", verb=verb.__qualname__, **arguments, exc_info=True)
            return False
        return True
