"""A customer with three relays, and a node that tells what they sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select, update

from derpman.containers.models import Placement
from derpman.kit.work import Edge, UnitOfWork
from derpman.rentals.models import Rental
from derpman.servers.models import ServerLink
from derpman.traffic import metering, rounds, service
from derpman.traffic.models import RelayMeter, TrafficPeriod
from tests.conftest import MovableClock, Person
from tests.rentals.conftest import Activate, activate, new_code, servers

__all__ = ["activate", "new_code", "servers"]
LINE = 1_250_000_000
MB = 1_000_000


@dataclass
class Customer:
    """Somebody's rental, as tests of traffic look at it."""

    edge: Edge
    clock: MovableClock
    user_id: int
    rental: Rental
    relays: list[int]
    server_of: dict[int, int]
    sent: dict[int, int] = field(default_factory=dict[int, int])
    """What each relay's running start has sent."""
    starts: dict[int, str] = field(default_factory=dict[int, str])
    before: dict[int, int] = field(default_factory=dict[int, int])

    def send(self, relay: int, size: int, *, seconds: float = 60) -> None:
        """Let a relay send, its node tell it, and a round be written."""
        self.clock.advance(seconds=seconds)
        self.sent[relay] = self.sent.get(relay, 0) + size
        self.tell(relay)

    def reading(self, relay: int, **changes: Any) -> metering.Reading:
        told: dict[str, Any] = {
            "placement_id": relay,
            "server_id": self.server_of[relay],
            "start_id": self.starts.get(relay, "first"),
            "sent_bytes": self.sent.get(relay, 0),
            "node_before_bytes": self.before.get(relay, 0),
            "at": self.clock(),
        }
        return metering.Reading(**{**told, **changes})

    away: set[int] = field(default_factory=set[int])
    """Relays whose servers are out of touch."""

    def hear(self) -> None:
        """Let the servers be in touch, but for those of relays that are away."""
        near = [server for relay, server in self.server_of.items() if relay not in self.away]

        def write(work: UnitOfWork) -> None:
            work.session.execute(
                update(ServerLink).where(ServerLink.server_id.in_(near)).values(contact_at=work.now)
            )

        self.edge(write)

    def tell(self, *relays: int) -> None:
        self.hear()
        readings = [self.reading(relay) for relay in relays]
        self.edge(rounds.record, readings=readings, book={}, line_bytes_per_second=LINE)

    def finish(self, relay: int, *, gap: bool = False, **changes: Any) -> None:
        """End the running start of a relay, and begin the next."""
        start_id = self.starts.get(relay, "first")
        told: dict[str, Any] = {
            "relay": relay,
            "start_id": start_id,
            "started_at": self.clock().isoformat(),
            "ended_at": self.clock().isoformat(),
            "sent_bytes": self.sent.get(relay, 0) + 8,
            "probe_bytes": 8,
            "gap": gap,
        }
        told |= changes
        self.edge(
            metering.finish,
            server_id=self.server_of[relay],
            starts=[told],
            line_bytes_per_second=LINE,
        )
        self.before[relay] = self.before.get(relay, 0) + self.sent.get(relay, 0)
        self.sent[relay] = 0
        self.starts[relay] = start_id + "'"

    def period(self) -> TrafficPeriod:
        return self.edge.read(_one, TrafficPeriod.open_rental_id == self.rental.id)

    def total(self) -> int:
        return sum(meter.total_bytes for meter in self.meters())

    def meters(self) -> Sequence[RelayMeter]:
        return self.edge.read(_meters, self.rental.id)

    def quotas(self) -> list[int | None]:
        return [row.quota_bytes for row in self.edge.read(_placements, self.rental.id)]


def _one(work: UnitOfWork, *where: Any) -> TrafficPeriod:
    return work.session.scalars(select(TrafficPeriod).where(*where)).one()


def _meters(work: UnitOfWork, rental_id: int) -> Sequence[RelayMeter]:
    return work.session.scalars(
        select(RelayMeter)
        .where(RelayMeter.rental_id == rental_id)
        .order_by(RelayMeter.placement_id)
    ).all()


def _placements(work: UnitOfWork, rental_id: int) -> Sequence[Placement]:
    return work.session.scalars(
        select(Placement).where(Placement.rental_id == rental_id).order_by(Placement.id)
    ).all()


@pytest.fixture
def customer(
    edge: Edge, clock: MovableClock, servers: list[int], carl: Person, activate: Activate
) -> Callable[..., Customer]:
    """Activate a plan for Carl; `limit` is its traffic."""

    def make(limit: int = 1000 * MB, days: int = 30, **terms: Any) -> Customer:
        from derpman.finance import service as finance

        def sell(work: UnitOfWork) -> None:
            plan = finance.plan_of_days(work, days)
            plan.traffic_bytes = limit
            for name, value in terms.items():
                setattr(plan, name, value)

        edge(sell)
        from derpman.serials import service as serials

        code = edge(serials.generate, duration_days=days)[0].code
        rental = activate(carl, code)
        edge(service.follow, rental_id=rental.id, user_id=carl.id)
        found = edge.read(_placements, rental.id)
        return Customer(
            edge,
            clock,
            carl.id,
            rental,
            [one.id for one in found],
            {one.id: one.server_id for one in found},
        )

    return make


@pytest.fixture
def carls(customer: Callable[..., Customer]) -> Customer:
    return customer()
