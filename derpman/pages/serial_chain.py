"""What became of a serial: who made, sold, bought and used it, its time, traffic and containers."""

from __future__ import annotations

from datetime import datetime, timedelta

from derpman.containers import service as containers
from derpman.finance import queries as finance_queries
from derpman.finance import service as finance
from derpman.kit.types import Out, Part
from derpman.kit.work import UnitOfWork
from derpman.rentals import service as rentals
from derpman.rentals import terms
from derpman.serials import service as serials
from derpman.serials.models import Serial
from derpman.servers import service as servers
from derpman.traffic import queries as traffic
from derpman.users import service as users


class ContainerPart(Part):
    id: int
    slot: int
    generation: int
    server_id: int
    region: str
    address: str
    port: int
    wanted: str
    observed: str
    sent_bytes: int
    """Since it was made."""


class TermPart(Part):
    """The span of a rental that the serial bought."""

    rental_id: int
    starts_at: datetime
    ends_at: datetime
    used_seconds: int
    used_percent: int
    """Of its time."""
    plan_bytes: int
    """Per 30 days."""
    used_bytes: int
    """Of all traffic periods that began in the span."""


class ChainOut(Out):
    serial_id: int
    status: str
    plan: str
    maker: str | None
    order_id: int | None
    order: str | None
    """The number of the purchase that it was made for."""
    distributor_id: int | None
    distributor: str | None
    username: str | None
    user_id: int | None
    created_at: datetime
    used_at: datetime | None
    term: TermPart | None
    """None: it is not used."""
    containers: list[ContainerPart]


def chain(work: UnitOfWork, serial_id: int) -> ChainOut:
    """Return everything that hangs on a serial."""
    serial = serials.get(work, serial_id)
    people = (serial.user_id, serial.created_by, serial.distributor_id)
    names = users.names_of(work, user_ids=[one for one in people if one])
    orders = finance_queries.orders_by_id(work, [serial.order_id] if serial.order_id else [])
    found = terms.of_serial(work, serial.id)
    return ChainOut(
        serial_id=serial.id,
        status=serial.status,
        plan=finance.plan(work, serial.plan_id).name,
        maker=names.get(serial.created_by or 0),
        order_id=serial.order_id,
        order=orders[serial.order_id].number if serial.order_id in orders else None,
        distributor_id=serial.distributor_id,
        distributor=names.get(serial.distributor_id or 0),
        username=names.get(serial.user_id or 0),
        user_id=serial.user_id,
        created_at=serial.created_at,
        used_at=serial.used_at,
        term=None if found is None else _term(work, serial, found),
        containers=[] if found is None else _containers(work, found.rental_id),
    )


def _term(work: UnitOfWork, serial: Serial, term: terms.RentalTerm) -> TermPart:
    rental = rentals.get(work, term.rental_id)
    until = min(work.now, term.ends_at, rental.ended_at or term.ends_at)
    used = max(timedelta(0), until - term.starts_at)
    length = max(timedelta(seconds=1), term.ends_at - term.starts_at)
    periods = traffic.periods_of(work, user_id=serial.user_id or 0, limit=200)
    return TermPart(
        rental_id=term.rental_id,
        starts_at=term.starts_at,
        ends_at=term.ends_at,
        used_seconds=int(used.total_seconds()),
        used_percent=min(100, int(100 * used / length)),
        plan_bytes=term.traffic_bytes,
        used_bytes=sum(
            one.used_bytes
            for one in periods
            if one.rental_id == term.rental_id and term.starts_at <= one.starts_at < term.ends_at
        ),
    )


def _containers(work: UnitOfWork, rental_id: int) -> list[ContainerPart]:
    placed = containers.placements_of(work, rental_id=rental_id)
    regions = servers.regions_of(work, server_ids={one.server_id for one in placed})
    sent = {
        one.container_id: one.sent_bytes for one in traffic.relays_of(work, rental_id=rental_id)
    }
    return [
        ContainerPart(
            id=one.id,
            slot=one.slot,
            generation=one.generation,
            server_id=one.server_id,
            region=regions.get(one.server_id, ""),
            address=one.address,
            port=one.port,
            wanted=one.wanted,
            observed=one.observed,
            sent_bytes=sent.get(one.id, 0),
        )
        for one in placed
    ]
