"""Nodes for drills with a simulated clock: emulated in this process, without a relay or a wire.

An emulated node keeps the desired state that it was given, as the real one does on its disk, and
ends each relay at its time by itself. That the real one does is what its own tests show.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from derpman.containers import reconcile
from derpman.kit.work import Edge, UnitOfWork
from derpman.servers.models import Server, ServerLink

PORT_REST = timedelta(days=7)


class EmulatedNode:
    """What one server runs."""

    def __init__(self, server_id: int) -> None:
        self.server_id = server_id
        self.generation = 0
        self.relays: dict[int, Mapping[str, Any]] = {}
        self.is_reachable = True

    def converge(self, run: Edge) -> bool:
        """Take what is wanted, and report it: True when something was new."""
        if not self.is_reachable:
            return False
        wanted = run.read(reconcile.desired_state, server_id=self.server_id)
        if wanted is None:
            return False
        assert wanted["generation"] >= self.generation
        self.generation = wanted["generation"]
        self.relays = {relay["id"]: relay for relay in wanted["relays"]}
        run(self._report)
        return True

    def _report(self, work: UnitOfWork) -> None:
        work.session.execute(
            update(ServerLink)
            .where(ServerLink.server_id == self.server_id)
            .values(applied_generation=self.generation, contact_at=work.now)
        )
        snapshot = {
            "generation": self.generation,
            "whole": True,
            "relays": [self._seen(relay, work.now) for relay in self.relays.values()],
        }
        reconcile.record_observed(work, server_id=self.server_id, snapshot=snapshot)

    def _seen(self, relay: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        return {
            "id": relay["id"],
            "generation": relay["generation"],
            "state": "ready" if serves(relay, now) else "stopped",
            "reason": None,
            "restarts": 0,
        }

    def serving(self, now: datetime) -> set[int]:
        """Return the relays that serve at this moment, whatever the panel does."""
        return {id_ for id_, relay in self.relays.items() if serves(relay, now)}


def serves(relay: Mapping[str, Any], now: datetime) -> bool:
    """Tell whether a relay serves: the node ends it at its time by itself."""
    return relay["running"] and now < datetime.fromisoformat(relay["expires_at"])


class Ports:
    """Watches that a port which somebody had rests for seven days before another has it."""

    def __init__(self) -> None:
        self._had: dict[tuple[int, int], tuple[int, datetime]] = {}
        self.broken: list[str] = []

    def watch(self, node: EmulatedNode, owners: Mapping[int, int], now: datetime) -> None:
        """Look at whose each port of a node is; `owners` are users by relay."""
        for relay in node.relays.values():
            key, owner = (node.server_id, relay["port"]), owners[relay["id"]]
            had, until = self._had.get(key, (owner, now))
            if had != owner and now - until < PORT_REST:
                self.broken.append(f"port {key} of {had} until {until} is {owner}'s at {now}")
            self._had[key] = owner, now


def behind(run: Edge) -> list[int]:
    """Return the servers whose node was not told the newest."""
    return run.read(_behind)


def _behind(work: UnitOfWork) -> list[int]:
    found = (
        select(Server.id)
        .join(ServerLink, ServerLink.server_id == Server.id)
        .where(Server.desired_generation != ServerLink.applied_generation)
        .order_by(Server.id)
    )
    return list(work.session.scalars(found))
