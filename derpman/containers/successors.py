"""The next generation of a slot's relay, and the end of the last: for rotation, moves, failover.

A slot has one generation, or two while a map that names the older one may still be in use. The
region id of a slot never changes. Callers lock the user first (`users.service.lock`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import select

from derpman.containers import service
from derpman.containers.errors import (
    NoPortLeft,
    PlacementNotFound,
    ServerNotFit,
    TwoGenerations,
)
from derpman.containers.models import Placement
from derpman.containers.service import Terms
from derpman.containers.states import Observed, Wanted
from derpman.kit.work import UnitOfWork
from derpman.servers import service as servers

MOST_GENERATIONS = 2


def prepare(
    work: UnitOfWork,
    terms: Terms,
    *,
    placement: Placement,
    server_id: int | None = None,
    unused: Collection[int] = (),
) -> Placement:
    """Want the next generation of a relay's slot beside it: another port, certificate and keys.

    It goes to the same server, however full, unless another is given, which must be fit. The older
    one stays wanted until it is retired. Of two generations one that is among `unused`, placements
    that no map in use names, is retired first. Raises TwoGenerations when there is none,
    ServerNotFit, NoPortLeft and PlacementNotFound.
    """
    if placement.wanted is Wanted.RELEASED:
        raise PlacementNotFound
    wanted = placement.wanted  # it may be the one that is retired
    generations = live(work, terms.rental_id).get(placement.slot, [])
    if len(generations) >= MOST_GENERATIONS:
        spare = [one.id for one in generations if one.id in unused]
        if not spare:
            raise TwoGenerations(slot=placement.slot)
        retire(work, placement_ids=spare[-1:])
    is_beside = server_id is None or server_id == placement.server_id
    if is_beside:
        server = servers.place_beside(work, server_id=placement.server_id)
    else:
        server = _fit(work, server_id or 0)
    place = service.take_places(work, [server], is_beside=is_beside).get(server.id)
    if place is None:
        raise NoPortLeft(server_id=server.id)
    number = service.next_generation(work, terms.rental_id, placement.slot)
    [made] = service.want(work, terms, [(placement.slot, number, place)])
    made.region_id = placement.region_id
    made.wanted = wanted
    if placement.quota_bytes == 0:  # used up: it gets no more here than there
        made.quota_bytes, made.at_quota = 0, placement.at_quota
        made.throttle_bytes_per_second = placement.throttle_bytes_per_second
    work.session.flush()
    return made


def _fit(work: UnitOfWork, server_id: int) -> servers.Candidate:
    server = next((one for one in servers.candidates(work) if one.id == server_id), None)
    if server is None:
        servers.get(work, server_id)  # unknown is another answer than unfit
        raise ServerNotFit(server_id=server_id)
    return server


def retire(work: UnitOfWork, *, placement_ids: Iterable[int]) -> list[int]:
    """Give up relays, whose ports then rest; return those that were not given up before."""
    found = work.session.scalars(
        select(Placement)
        .where(Placement.id.in_(set(placement_ids)), Placement.wanted != Wanted.RELEASED)
        .order_by(Placement.id)
    ).all()
    if found:
        service.give_up(work, found)
    return [one.id for one in found]


def live(work: UnitOfWork, rental_id: int) -> dict[int, list[Placement]]:
    """Return the relays of a rental that are not given up, by slot, the oldest generation first."""
    by_slot: dict[int, list[Placement]] = defaultdict(list)
    for placement in service.placements_of(work, rental_id=rental_id):
        by_slot[placement.slot].append(placement)
    return dict(by_slot)


def newest(placements: Iterable[Placement]) -> list[Placement]:
    """Return the newest generation of each slot, by slot."""
    by_slot: dict[int, Placement] = {}
    for one in placements:
        known = by_slot.get(one.slot)
        if known is None or known.generation < one.generation:
            by_slot[one.slot] = one
    return [by_slot[slot] for slot in sorted(by_slot)]


def are_ready(placements: Iterable[Placement]) -> bool:
    """Tell whether nodes have said of all of them that they serve, or that they must not."""
    return all(one.observed in (Observed.READY, Observed.STOPPED) for one in placements)


def set_ends(work: UnitOfWork, *, ends: Mapping[int, datetime | None]) -> None:
    """Say until when relays run at most, by placement; their nodes end them by themselves."""
    found = work.session.scalars(
        select(Placement)
        .where(Placement.id.in_(ends), Placement.wanted != Wanted.RELEASED)
        .order_by(Placement.id)
    ).all()
    differing = [one for one in found if one.ends_at != ends[one.id]]
    if not differing:
        return
    servers.touch(work, server_ids=[one.server_id for one in differing])
    for one in differing:
        one.ends_at = ends[one.id]
    work.session.flush()
