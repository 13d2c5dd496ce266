"""HTTP under `/api/user` of renewal, of the mark against it, and of the end of accounts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from derpman.access import steps
from derpman.containers.errors import NotEnoughServers
from derpman.kit.http import Guarded, RunAdmin, RunUser
from derpman.kit.types import IdValue
from derpman.kit.work import UnitOfWork
from derpman.rentals import closing, marking, picture, queries, renewals, service
from derpman.rentals.life_schemas import (
    Deregister,
    DeregistrationOut,
    MatterPart,
    NoRenewal,
    PastRentalPart,
    RenewedOut,
    RenewTo,
    RentalsOut,
    RentalsQuery,
    TermPart,
    WaitingPart,
)
from derpman.rentals.schemas import Activate, DoneOut, RentalOut, RentalPart
from derpman.serials import tries
from derpman.users import service as users

router = APIRouter(prefix="/api/user", tags=["user"])


@router.post("/renew")
def renew(request: Request, run: RunUser, guards: Guarded, body: Activate) -> RenewedOut:
    """Spend a serial number on a renewal: from the present end, or from now when that is past.

    Within seven days of the end the relays, and the ACL, are the same as before.
    """
    region_base: int = request.app.state.system.settings.region_base
    try:
        with tries.counted(guards, run.actor):
            return RenewedOut(rental=run(_renewed, body.code, region_base))
    except NotEnoughServers as error:
        # In a transaction of its own: the refused one took its rows with it.
        run(service.report_shortage, wanted=error.wanted, fit=error.fit)
        raise


@router.get("/rentals")
def list_rentals(run: RunUser, query: Annotated[RentalsQuery, Query()]) -> RentalsOut:
    """The caller's rentals, newest first, with everything that was bought for each."""
    return run.read(_rentals, run.actor.user_id or 0, query)


@router.get("/deregistration")
def show_deregistration(run: RunUser) -> DeregistrationOut:
    """What stands against closing the caller's account, or which servers are waited for."""
    return run.read(_progress, run.actor.user_id or 0)


@router.post("/deregister")
def deregister(run: RunUser, guards: Guarded, body: Deregister) -> DeregistrationOut:
    """Close the caller's account: nothing of it serves any more at once, and it cannot be undone.

    Refused while money is not settled, or a rental runs that is not given up.
    """
    steps.confirm_password(run, guards, password=body.password)
    user_id = run.actor.user_id or 0
    run(closing.ask, user_id=user_id, gives_up_rental=body.give_up_rental)
    return run.read(_progress, user_id)


@router.get("/{user_id:id}/rental")
def show_rental_of(run: RunAdmin, user_id: IdValue) -> RentalOut:
    """A user's rental with its relays as they are now; null when he has none."""
    return run.read(_rental_of, user_id)


@router.get("/{user_id:id}/rentals")
def list_rentals_of(
    run: RunAdmin, user_id: IdValue, query: Annotated[RentalsQuery, Query()]
) -> RentalsOut:
    """A user's rentals, newest first; also of one who is deregistered."""
    return run.read(_rentals, user_id, query)


@router.post("/{user_id:id}/renew_to")
def renew_to(run: RunAdmin, user_id: IdValue, body: RenewTo) -> RenewedOut:
    """Renew a user to a date, without money."""
    return RenewedOut(rental=run(_renewed_to, user_id, body))


@router.post("/{user_id:id}/no_renewal")
def forbid_renewal(run: RunAdmin, user_id: IdValue, body: NoRenewal) -> DoneOut:
    """Let a user not be renewed, by himself or automatically, until this is lifted."""
    run(
        marking.forbid_renewal,
        user_id=user_id,
        reason=body.reason,
        is_at_once=body.at_once,
    )
    return DoneOut()


@router.post("/{user_id:id}/renewal_allowed")
def allow_renewal(run: RunAdmin, user_id: IdValue) -> DoneOut:
    """Lift the mark that a user is not to be renewed."""
    run(marking.allow_renewal, user_id=user_id)
    return DoneOut()


@router.get("/{user_id:id}/deregistration")
def show_deregistration_of(run: RunAdmin, user_id: IdValue) -> DeregistrationOut:
    """When a user is deregistered, what is not settled, or which servers are waited for."""
    return run.read(_progress, user_id)


def _renewed(work: UnitOfWork, code: str, region_base: int) -> RentalPart:
    user_id = work.actor.user_id or 0
    rental = renewals.renew_by_serial(work, user_id=user_id, code=code, region_base=region_base)
    return picture.of(work, rental)


def _renewed_to(work: UnitOfWork, user_id: int, body: RenewTo) -> RentalPart:
    return picture.of(work, renewals.renew_to(work, user_id=user_id, **body.model_dump()))


def _rental_of(work: UnitOfWork, user_id: int) -> RentalOut:
    users.get(work, user_id)
    return picture.page_of(work, user_id=user_id)


def _rentals(work: UnitOfWork, user_id: int, query: RentalsQuery) -> RentalsOut:
    users.get(work, user_id)
    found, next_before = queries.rentals_of(work, user_id=user_id, **query.model_dump())
    terms: dict[int, list[TermPart]] = {one.id: [] for one in found}
    for term in queries.terms_of(work, rental_ids=list(terms)):
        terms[term.rental_id].append(TermPart.model_validate(term))
    return RentalsOut(
        rentals=[
            PastRentalPart(
                terms=terms[one.id],
                **{
                    name: getattr(one, name)
                    for name in PastRentalPart.model_fields
                    if name != "terms"
                },
            )
            for one in found
        ],
        next_before=next_before,
    )


def _progress(work: UnitOfWork, user_id: int) -> DeregistrationOut:
    found = closing.progress(work, user_id=user_id)
    return DeregistrationOut(
        status=found.status,
        deregister_at=found.deregister_at,
        deregistered_at=found.deregistered_at,
        matters=[MatterPart.model_validate(one) for one in found.matters],
        waiting_for=[WaitingPart.model_validate(one) for one in found.waiting_for],
    )
