"""Bringing a customer back to the relays he had: same places, ports, certificates and keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import undefer

from derpman.containers import service
from derpman.containers.choice import choose
from derpman.containers.errors import HasRelays, NotEnoughServers
from derpman.containers.models import Placement, PortClaim
from derpman.containers.service import SLOTS, Place, Terms
from derpman.containers.states import Observed, Wanted
from derpman.kit.db import changed
from derpman.kit.work import UnitOfWork
from derpman.servers import service as servers


@dataclass(frozen=True)
class Resumed:
    """The relays that a customer has again, and the slots whose newest is where it was."""

    placements: list[Placement]
    same_slots: frozenset[int]


def resume(work: UnitOfWork, terms: Terms, *, rental_id: int) -> Resumed:
    """Want the relays again that an ended rental had, under the terms of the next one.

    A relay whose port rests is made again with the same port, certificate and keys, so that a map
    which names it still holds. One whose server takes nobody now, or whose port is lost, gets
    another place; fewer than three fit servers: NotEnoughServers, and nothing of it stays.
    """
    if service.placements_of(work, user_id=terms.user_id):
        raise HasRelays
    before = _at_the_end(work, rental_id)
    newest = {old.slot: old.id for old in before}  # the newest generation of a slot comes last
    # Servers are claimed, and so locked, in the order of their ids, like everywhere.
    pairs = [
        (_again(terms, old, work.now), old)
        for old in sorted(before, key=lambda one: one.server_id)
        if _has_its_port(work, old)
        # What stands beside the slot's newest needs no room of its own.
        and servers.claim(work, server_id=old.server_id, is_beside=old.id not in newest.values())
    ]
    again = [one for one, _ in pairs]
    work.session.add_all(again)
    work.session.flush()
    for one, old in pairs:
        _take_claim(work, one, old)
    service.grant(work, terms.user_id, sorted({one.server_id for one in again}))
    work.session.flush()
    same = {old.slot for _, old in pairs if old.id == newest[old.slot]}
    moved = _elsewhere(work, terms, again, [slot for slot in SLOTS if slot not in same])
    placements = sorted([*again, *moved], key=lambda one: (one.slot, one.generation))
    return Resumed(placements, frozenset(same))


def servers_of(work: UnitOfWork, *, rental_id: int) -> list[int]:
    """Return the servers whose relays a rental had, by slot, those of the newest first."""
    found = work.session.scalars(
        select(Placement.server_id)
        .where(Placement.rental_id == rental_id)
        .order_by(Placement.slot, Placement.generation.desc())
    )
    return list(dict.fromkeys(found))


def _at_the_end(work: UnitOfWork, rental_id: int) -> list[Placement]:
    """Return the relays that a rental had when it ended, by slot, the oldest generation first.

    The newest of each slot; and the one before it when a map that names it is in force still.
    """
    found = work.session.scalars(
        select(Placement)
        .where(Placement.rental_id == rental_id, Placement.wanted == Wanted.RELEASED)
        .order_by(Placement.slot, Placement.generation)
        .options(undefer(Placement.private_key), undefer(Placement.mesh_key))
    ).all()
    newest = {one.slot: one for one in found}
    return [
        one
        for one in found
        if one is newest[one.slot]
        or (
            one.released_at == newest[one.slot].released_at
            and one.ends_at is not None
            and one.ends_at > work.now
        )
    ]


def _has_its_port(work: UnitOfWork, old: Placement) -> bool:
    """Tell whether a released relay could be made again: its address and port are still its own."""
    server = servers.get(work, old.server_id)
    if server.public_ip != old.address or not server.port_from <= old.port <= server.port_to:
        return False
    return work.session.scalar(select(PortClaim.port).where(*_resting(work, old))) is not None


def _resting(work: UnitOfWork, old: Placement) -> tuple[ColumnElement[bool], ...]:
    return (
        PortClaim.server_id == old.server_id,
        PortClaim.port == old.port,
        PortClaim.placement_id == old.id,
        or_(PortClaim.free_at.is_(None), PortClaim.free_at > work.now),
    )


def _again(terms: Terms, old: Placement, now: datetime) -> Placement:
    return Placement(
        user_id=terms.user_id,
        rental_id=terms.rental_id,
        server_id=old.server_id,
        slot=old.slot,
        generation=old.generation,
        region_id=terms.region_base + old.slot - 1,
        address=old.address,
        port=old.port,
        certificate=old.certificate,
        private_key=old.private_key,
        pin=old.pin,
        mesh_key=old.mesh_key,
        expires_at=terms.expires_at,
        ends_at=old.ends_at,
        rate_bytes_per_second=terms.rate_bytes_per_second,
        wanted=Wanted.RUNNING,
        observed=Observed.UNKNOWN,
        created_at=now,
    )


def _take_claim(work: UnitOfWork, one: Placement, old: Placement) -> None:
    """Make the resting port the new relay's: the old one's end frees it no more."""
    taken = changed(
        work.session,
        update(PortClaim)
        .where(*_resting(work, old))
        .values(placement_id=one.id, free_at=None)
        .execution_options(synchronize_session=False),
    )
    if taken != 1:  # it was seen to rest, and who takes a port holds its server's row
        raise RuntimeError(f"port {one.port} of server {one.server_id} was taken meanwhile")


def _elsewhere(
    work: UnitOfWork, terms: Terms, kept: Sequence[Placement], slots: Sequence[int]
) -> list[Placement]:
    """Find new places for slots whose old one is lost, on servers that carry none of the others."""
    if not slots:
        return []
    used = {one.server_id for one in kept}
    regions = list(servers.regions_of(work, server_ids=used).values())
    free = {one.id: one for one in servers.candidates(work) if one.id not in used}
    fit = len(free)
    places: list[Place] = []
    while len(places) < len(slots):
        near = [*regions, *(place.server.region for place in places)]
        chosen = choose(free.values(), len(slots) - len(places), regions=near)
        if len(chosen) + len(places) < len(slots):
            raise NotEnoughServers(wanted=len(SLOTS), fit=fit + len(kept))
        for server in chosen:
            del free[server.id]
        taken = service.take_places(work, chosen)
        fit -= len(chosen) - len(taken)
        places += [taken[server.id] for server in chosen if server.id in taken]
    wishes = [
        (slot, service.next_generation(work, terms.rental_id, slot), place)
        for slot, place in zip(slots, places, strict=True)
    ]
    return service.want(work, terms, wishes)
