"""Verbs that make a customer's next ACL: when an admin wants it, or with other region ids."""

from __future__ import annotations

from collections.abc import Sequence

from derpman.acl import derpmap
from derpman.acl import service as acl
from derpman.acl.errors import RegionsRefused
from derpman.acl.models import AclVersion
from derpman.containers import service as containers
from derpman.containers.choice import choose
from derpman.containers.errors import NoPortLeft, ServerNotFit
from derpman.containers.models import Placement
from derpman.containers.successors import newest
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.rentals import placing
from derpman.rentals.errors import NoOpenRental, RentalSuspended
from derpman.rentals.models import Rental
from derpman.rentals.service import open_rental
from derpman.rentals.states import RentalStatus
from derpman.servers import service as servers
from derpman.users import service as users


def generate(
    work: UnitOfWork, *, user_id: int, server_ids: Sequence[int] = (), reason: str = "generated"
) -> AclVersion:
    """Make a user's next ACL version from the relays he has, with 32 days before it.

    Those of `server_ids` come first: empty slots are filled there, and when there are none relays
    move there; what is empty then is filled wherever there is room. The old relays of slots that
    moved go on until the new map is in use.
    """
    users.refuse_suspended(users.lock(work, user_id))
    rental = _running(work, user_id)
    kept = newest(containers.placements_of(work, rental_id=rental.id))
    present = [one.server_id for one in kept]
    wished = [one for one in dict.fromkeys(server_ids) if one not in present]
    for server_id in wished:
        servers.get(work, server_id)  # unknown is another answer than occupied
    empty = sorted(set(containers.SLOTS) - {one.slot for one in kept})
    moved = placing.redirect(
        work, rental, server_ids=wished[len(empty) :], keep=[*server_ids, *wished]
    )
    filled = _fill(work, rental, dict(zip(empty, wished, strict=False)))
    filled += fill_up(work, rental)
    version = acl.issue(
        work,
        user_id=user_id,
        rental_id=rental.id,
        placements=containers.placements_of(work, rental_id=rental.id),
        reason=reason,
    )
    for move in moved:
        move.version_id = version.id
    logs.record(
        work,
        action="acl.generate",
        object_type="acl",
        object_id=version.id,
        after={
            "user_id": user_id,
            "version": version.number,
            "reason": reason,
            "filled": [one.server_id for one in filled],
            "moved": [one.to_server_id for one in moved],
        },
    )
    return version


def choose_regions(work: UnitOfWork, *, user_id: int, region_base: int) -> AclVersion:
    """Give a customer's slots the region ids from this one on, and make the version that says so.

    For who has relays of his own under ours. The relays themselves stay as they are.
    """
    if not derpmap.is_own_region_base(region_base):
        raise RegionsRefused(region_base=region_base)
    users.refuse_suspended(users.lock(work, user_id))
    rental = _running(work, user_id)
    version = acl.current(work, user_id=user_id)
    if rental.region_base == region_base and version is not None:
        return version
    before, rental.region_base = rental.region_base, region_base
    placements = containers.number_regions(work, rental_id=rental.id, region_base=region_base)
    version = acl.issue(
        work, user_id=user_id, rental_id=rental.id, placements=placements, reason="regions"
    )
    logs.record(
        work,
        action="acl.regions",
        object_type="rental",
        object_id=rental.id,
        before={"region_base": before},
        after={"region_base": region_base},
    )
    return version


def _running(work: UnitOfWork, user_id: int) -> Rental:
    rental = open_rental(work, user_id)
    if rental is None or rental.expires_at <= work.now:
        raise NoOpenRental
    if rental.status is not RentalStatus.ACTIVE:
        raise RentalSuspended
    return rental


def terms_of(rental: Rental) -> containers.Terms:
    """Return what a rental says about each of its relays."""
    return containers.Terms(
        user_id=rental.user_id,
        rental_id=rental.id,
        region_base=rental.region_base,
        expires_at=rental.expires_at,
        rate_bytes_per_second=rental.rate_bytes_per_second,
    )


def _fill(work: UnitOfWork, rental: Rental, places: dict[int, int]) -> list[Placement]:
    """Fill slots, given as slot to server; servers are locked in the order of their ids."""
    terms = terms_of(rental)
    in_order = sorted(places.items(), key=lambda place: place[1])
    return [
        containers.fill(work, terms, slot=slot, server_id=server_id) for slot, server_id in in_order
    ]


def fill_up(work: UnitOfWork, rental: Rental) -> list[Placement]:
    """Fill empty slots wherever there is room; one that finds none stays empty."""
    kept = containers.placements_of(work, rental_id=rental.id)
    filled: list[Placement] = []
    for slot in sorted(set(containers.SLOTS) - {one.slot for one in kept}):
        placed = containers.placements_of(work, rental_id=rental.id)
        taken = {one.server_id for one in placed}
        regions = servers.regions_of(work, server_ids=taken).values()
        free = [one for one in servers.candidates(work) if one.id not in taken]
        for server in choose(free, len(free), regions=regions):
            try:
                filled += _fill(work, rental, {slot: server.id})
            except (ServerNotFit, NoPortLeft):
                continue
            break
    return filled
