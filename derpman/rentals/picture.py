"""A rental as its page shows it: what was promised, its three relays, its ACL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from math import ceil

from derpman.acl import service as acl
from derpman.acl import usage
from derpman.acl.models import AclVersion
from derpman.containers import restraints, successors
from derpman.containers import service as containers
from derpman.containers.models import Placement
from derpman.containers.schemas import RestraintOut, SlotOut
from derpman.finance import service as finance
from derpman.kit.work import UnitOfWork
from derpman.monitoring import queries as monitoring
from derpman.monitoring.service import PANEL
from derpman.rentals import opening, service, terms
from derpman.rentals.models import Rental
from derpman.rentals.opening import RESUMED_WITHIN
from derpman.rentals.schemas import AclOut, ChangePart, LifePart, RentalOut, RentalPart
from derpman.servers import service as servers
from derpman.users import service as users

LATENCY = f"{PANEL}.tcp"


def of_user(work: UnitOfWork, *, user_id: int) -> RentalPart | None:
    """Return the user's open rental, or None."""
    rental = service.open_rental(work, user_id)
    return None if rental is None else of(work, rental)


def page_of(work: UnitOfWork, *, user_id: int) -> RentalOut:
    """Return the user's open rental, if he has one, and what may become of his account."""
    user = users.get(work, user_id)
    last = opening.last_rental(work, user_id)
    until = None if last is None or last.ended_at is None else last.ended_at + RESUMED_WITHIN
    return RentalOut(
        rental=of_user(work, user_id=user_id),
        life=LifePart(
            is_renewable=users.is_renewable(user),
            no_renewal_reason=user.no_renewal_reason,
            deregister_at=user.deregister_at,
            same_relays_until=until if until is not None and until > work.now else None,
        ),
    )


def of(work: UnitOfWork, rental: Rental) -> RentalPart:
    """Return one rental."""
    version = acl.current(work, user_id=rental.user_id)
    if version is not None and version.rental_id != rental.id:
        version = None
    placements = _shown(containers.placements_of(work, rental_id=rental.id), version)
    regions = servers.regions_of(work, server_ids=[one.server_id for one in placements])
    latencies = monitoring.newest(work, server_ids=list(regions), metric=LATENCY)
    slots = [
        SlotOut.of(one, regions).model_copy(update={"latency_ms": latencies.get(one.server_id)})
        for one in placements
    ]
    return RentalPart(
        id=rental.id,
        user_id=rental.user_id,
        plan_id=rental.plan_id,
        plan=finance.plan(work, rental.plan_id).name,
        serial_id=rental.serial_id,
        status=rental.status,
        started_at=rental.started_at,
        expires_at=rental.expires_at,
        days=ceil((rental.expires_at - rental.started_at) / timedelta(days=1)),
        ended_at=rental.ended_at,
        end_reason=rental.end_reason,
        traffic_bytes=rental.traffic_bytes,
        rate_bytes_per_second=rental.rate_bytes_per_second,
        device_limit=rental.device_limit,
        over_quota=rental.over_quota,
        throttle_bytes_per_second=rental.throttle_bytes_per_second,
        change=_change(work, rental),
        restraints=[
            RestraintOut.model_validate(one)
            for one in restraints.of_user(work, user_id=rental.user_id)
        ],
        is_ready=len(slots) == len(containers.SLOTS)
        and all(slot.is_ready for slot in slots)
        and version is not None,
        slots=slots,
        acl=None
        if version is None
        else AclOut(
            version=version.number, created_at=version.created_at, expires_at=version.expires_at
        ),
    )


def _shown(placements: Sequence[Placement], version: AclVersion | None) -> list[Placement]:
    """Return one relay for each slot: the one that the version in force names, else the newest."""
    pins = frozenset[str]() if version is None else usage.pins_of(version)
    named = {one.slot: one for one in placements if one.pin in pins}
    return [named.get(one.slot, one) for one in successors.newest(placements)]


def _change(work: UnitOfWork, rental: Rental) -> ChangePart | None:
    at = rental.terms_until
    then = None if at is None else terms.at(terms.of_rental(work, rental.id), at)
    if at is None or then is None or then == terms.held(rental):
        return None
    return ChangePart(at=at, plan=finance.plan(work, then.plan_id).name, **vars(then))
