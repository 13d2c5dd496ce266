"""Verbs on placements: claim three, stop, start, release; who may connect to them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, or_, select, update

from derpman.containers import certificates
from derpman.containers.choice import choose
from derpman.containers.errors import (
    AlreadyOnServer,
    HasRelays,
    NoPortLeft,
    NotEnoughServers,
    ServerNotFit,
)
from derpman.containers.models import Admission, Placement, PortClaim, UserServer
from derpman.containers.states import WANTED_TRANSITIONS, Observed, Wanted
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.servers import service as servers
from derpman.servers.service import Candidate
from derpman.users import service as users

SLOTS = (1, 2, 3)
_random = secrets.SystemRandom()


@dataclass(frozen=True)
class Terms:
    """What a rental says about each of its relays."""

    user_id: int
    rental_id: int
    region_base: int
    expires_at: datetime
    rate_bytes_per_second: int


@dataclass(frozen=True)
class Place:
    """Room that was claimed on a server, and a port of it that is nobody's."""

    server: Candidate
    port: int


def allocate(
    work: UnitOfWork,
    *,
    user_id: int,
    rental_id: int,
    region_base: int,
    expires_at: datetime,
    rate_bytes_per_second: int,
    prefer: Sequence[int] = (),
) -> list[Placement]:
    """Claim a place and a port on three servers and want a relay on each; slots 1, 2, 3 in order.

    Fewer than three fit servers: NotEnoughServers, and nothing of it stays.
    """
    terms = Terms(user_id, rental_id, region_base, expires_at, rate_bytes_per_second)
    if placements_of(work, user_id=user_id):
        raise HasRelays
    found = servers.candidates(work)
    _random.shuffle(found)  # many at once see the same loads: equals must not all go one way
    candidates = {server.id: server for server in found}
    fit = len(candidates)
    places: list[Place] = []
    while len(places) < len(SLOTS):
        regions = [place.server.region for place in places]
        chosen = choose(
            candidates.values(), len(SLOTS) - len(places), prefer=prefer, regions=regions
        )
        if len(chosen) + len(places) < len(SLOTS):
            raise NotEnoughServers(wanted=len(SLOTS), fit=fit)
        for server in chosen:
            del candidates[server.id]
        taken = take_places(work, chosen)
        fit -= len(chosen) - len(taken)
        places += [taken[server.id] for server in chosen if server.id in taken]
    wishes = [(slot, 1, place) for slot, place in zip(SLOTS, places, strict=True)]
    return want(work, terms, wishes)


def fill(work: UnitOfWork, terms: Terms, *, slot: int, server_id: int) -> Placement:
    """Want a relay for one empty slot on that server; the customer's others stay as they are."""
    others = placements_of(work, rental_id=terms.rental_id)
    if any(placement.server_id == server_id for placement in others):
        raise AlreadyOnServer(server_id=server_id)
    if any(placement.slot == slot for placement in others):
        raise HasRelays
    server = next((fit for fit in servers.candidates(work) if fit.id == server_id), None)
    if server is None:
        servers.get(work, server_id)  # unknown is another answer than unfit
        raise ServerNotFit(server_id=server_id)
    place = take_places(work, [server]).get(server_id)
    if place is None:
        raise NoPortLeft(server_id=server_id)
    return want(work, terms, [(slot, next_generation(work, terms.rental_id, slot), place)])[0]


def next_generation(work: UnitOfWork, rental_id: int, slot: int) -> int:
    """Return the number that the next relay of a slot gets."""
    last = work.session.scalar(
        select(func.max(Placement.generation)).where(
            Placement.rental_id == rental_id, Placement.slot == slot
        )
    )
    return (last or 0) + 1


def take_places(
    work: UnitOfWork, chosen: Iterable[Candidate], *, is_beside: bool = False
) -> dict[int, Place]:
    """Claim room on servers, which locks their rows in the order of ids, and find a free port each.

    A server that has no room or no port any more is left out, and nothing is taken of it. What
    stands beside a relay that it will follow (`is_beside`) needs no room.
    """
    in_order = sorted(chosen, key=lambda server: server.id)
    claimed = [
        server
        for server in in_order
        if servers.claim(work, server_id=server.id, is_beside=is_beside)
    ]
    busy: dict[int, set[int]] = {server.id: set() for server in claimed}
    rested: dict[int, set[int]] = {server.id: set() for server in claimed}
    claims = select(PortClaim.server_id, PortClaim.port, PortClaim.free_at)
    for server_id, port, free_at in work.session.execute(
        claims.where(PortClaim.server_id.in_(busy))
    ):
        is_rested = free_at is not None and free_at <= work.now
        (rested if is_rested else busy)[server_id].add(port)
    places: dict[int, Place] = {}
    for server in claimed:
        ports = range(server.port_from, server.port_to + 1)
        free = [port for port in ports if port not in busy[server.id]]
        if not free:
            servers.give_back(work, server_id=server.id)
            continue
        port = secrets.choice(free)
        if port in rested[server.id]:
            work.session.execute(
                delete(PortClaim).where(PortClaim.server_id == server.id, PortClaim.port == port)
            )
        places[server.id] = Place(server, port)
    return places


def want(
    work: UnitOfWork, terms: Terms, wishes: Sequence[tuple[int, int, Place]]
) -> list[Placement]:
    """Want relays with new certificates at places that were taken: (slot, generation, place)."""
    placements = [
        _placement(work, terms, slot, generation, place) for slot, generation, place in wishes
    ]
    work.session.add_all(placements)
    work.session.flush()
    work.session.add_all(
        PortClaim(server_id=one.server_id, port=one.port, placement_id=one.id) for one in placements
    )
    grant(work, terms.user_id, [placement.server_id for placement in placements])
    work.session.flush()
    return placements


def _placement(
    work: UnitOfWork, terms: Terms, slot: int, generation: int, place: Place
) -> Placement:
    made = certificates.make(place.server.ip, work.now)
    return Placement(
        user_id=terms.user_id,
        rental_id=terms.rental_id,
        server_id=place.server.id,
        slot=slot,
        generation=generation,
        region_id=terms.region_base + slot - 1,
        address=place.server.ip,
        port=place.port,
        certificate=made.certificate,
        private_key=work.vault.seal(made.private_key),
        pin=made.pin,
        mesh_key=work.vault.seal(secrets.token_hex(32)),
        expires_at=terms.expires_at,
        rate_bytes_per_second=terms.rate_bytes_per_second,
        wanted=Wanted.RUNNING,
        observed=Observed.UNKNOWN,
        created_at=work.now,
    )


def grant(work: UnitOfWork, user_id: int, server_ids: Sequence[int]) -> None:
    """Give a user his right on servers, again where he had it before."""
    known = {
        right.server_id: right
        for right in work.session.scalars(
            select(UserServer).where(
                UserServer.user_id == user_id, UserServer.server_id.in_(server_ids)
            )
        )
    }
    for server_id in server_ids:
        if server_id in known:
            known[server_id].ended_at = None
        else:
            work.session.add(UserServer(user_id=user_id, server_id=server_id, created_at=work.now))


def placements_of(
    work: UnitOfWork, *, rental_id: int | None = None, user_id: int | None = None
) -> list[Placement]:
    """Return the placements of a rental or a user that are not released, by slot."""
    wanted = select(Placement).where(Placement.wanted != Wanted.RELEASED)
    if user_id is not None:
        wanted = wanted.where(Placement.user_id == user_id)
    if rental_id is not None:
        wanted = wanted.where(Placement.rental_id == rental_id)
    return list(work.session.scalars(wanted.order_by(Placement.slot, Placement.generation)))


def number_regions(work: UnitOfWork, *, rental_id: int, region_base: int) -> list[Placement]:
    """Give the slots of a rental the region ids from this one on; no node needs to know them."""
    placements = placements_of(work, rental_id=rental_id)
    for placement in placements:
        placement.region_id = region_base + placement.slot - 1
    work.session.flush()
    return placements


def stop(work: UnitOfWork, *, rental_id: int) -> None:
    """Want the relays of a rental stopped; ports, certificates and devices stay."""
    _move(work, rental_id, "stop")


def start(work: UnitOfWork, *, rental_id: int) -> None:
    """Want the stopped relays of a rental running again."""
    _move(work, rental_id, "start")


def extend(
    work: UnitOfWork, *, rental_id: int, expires_at: datetime, rate_bytes_per_second: int
) -> None:
    """Have the relays of a rental run until its new end, at the speed it has now."""
    placements = placements_of(work, rental_id=rental_id)
    servers.touch(work, server_ids=[placement.server_id for placement in placements])
    for placement in placements:
        placement.expires_at = expires_at
        placement.rate_bytes_per_second = rate_bytes_per_second
    work.session.flush()
    work.wake("live")


def _move(work: UnitOfWork, rental_id: int, action: str) -> None:
    placements = placements_of(work, rental_id=rental_id)
    servers.touch(work, server_ids=[placement.server_id for placement in placements])
    for placement in placements:
        placement.wanted = next_state(WANTED_TRANSITIONS, placement.wanted, action)
    work.wake("live")


def release(work: UnitOfWork, *, rental_id: int) -> None:
    """Give up the relays of a rental; each port rests once its node has proved the relay gone."""
    give_up(work, placements_of(work, rental_id=rental_id))


def give_up(work: UnitOfWork, placements: Sequence[Placement]) -> None:
    """Give up some relays; each port rests once its node has proved the relay gone."""
    for server_id in sorted(placement.server_id for placement in placements):
        servers.give_back(work, server_id=server_id)
    for placement in placements:
        placement.wanted = next_state(WANTED_TRANSITIONS, placement.wanted, "release")
        placement.released_at = work.now
    work.session.flush()
    withdraw(work, user_ids={placement.user_id for placement in placements})
    work.wake("live")


def withdraw(work: UnitOfWork, *, user_ids: set[int]) -> None:
    """End users' rights on servers where no relay of theirs is left."""
    # Two statements: inside one, MariaDB looks through all relays of a server for each right.
    kept = work.session.execute(
        select(Placement.user_id, Placement.server_id)
        .where(Placement.user_id.in_(user_ids), Placement.wanted != Wanted.RELEASED)
        .distinct()
    ).all()
    work.session.execute(
        update(UserServer)
        .where(UserServer.user_id.in_(user_ids), UserServer.ended_at.is_(None))
        .where(
            *(
                or_(UserServer.user_id != row.user_id, UserServer.server_id != row.server_id)
                for row in kept
            )
        )
        .values(ended_at=work.now)
        .execution_options(synchronize_session=False)
    )


def admit(
    work: UnitOfWork, *, user_id: int, node_key: str, not_after: datetime | None = None
) -> None:
    """Let a device in on all of the user's relays, until `not_after` when that is given."""
    users.lock(work, user_id)  # or a relay that is placed meanwhile would never hear of it
    admission = work.session.get(Admission, (user_id, node_key))
    if admission is None:
        work.session.add(Admission(user_id=user_id, node_key=node_key, not_after=not_after))
    else:
        admission.not_after = not_after
    _touch_servers_of(work, user_id)


def refuse(work: UnitOfWork, *, user_id: int, node_key: str) -> None:
    """Let a device in no more; the nodes close what it has open."""
    users.lock(work, user_id)
    work.session.execute(
        delete(Admission).where(Admission.user_id == user_id, Admission.node_key == node_key)
    )
    _touch_servers_of(work, user_id)


def _touch_servers_of(work: UnitOfWork, user_id: int) -> None:
    server_ids = work.session.scalars(
        select(Placement.server_id).where(
            Placement.user_id == user_id, Placement.wanted != Wanted.RELEASED
        )
    ).all()
    if server_ids:
        servers.touch(work, server_ids=server_ids)
