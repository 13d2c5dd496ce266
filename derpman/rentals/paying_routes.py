"""HTTP of automatic renewal and of compensation, under `/api/finance`."""

from __future__ import annotations

from fastapi import APIRouter

from derpman.finance import auto_renewals
from derpman.kit.http import RunAdminFresh, RunUser
from derpman.rentals import compensation
from derpman.rentals.paying_schemas import (
    AutoRenewalOut,
    AutoRenewalPart,
    Compensate,
    CompensatedOut,
    SetAutoRenewal,
)

router = APIRouter(prefix="/api/finance", tags=["finance"])


@router.get("/auto_renewal")
def show_auto_renewal(run: RunUser) -> AutoRenewalOut:
    """Whether the caller's wallet renews his rental, and with which plan."""
    wish = run.read(auto_renewals.of, run.actor.user_id or 0)
    part = None if wish is None else AutoRenewalPart.model_validate(wish)
    return AutoRenewalOut(auto_renewal=part)


@router.post("/auto_renewal")
def set_auto_renewal(run: RunUser, body: SetAutoRenewal) -> AutoRenewalOut:
    """Have the wallet renew the caller's rental a day before its end, or not any more."""
    user_id = run.actor.user_id or 0
    if not body.is_on:
        run(auto_renewals.switch_off, user_id=user_id)
        return AutoRenewalOut(auto_renewal=None)
    wish = run(auto_renewals.switch_on, user_id=user_id, plan_id=body.plan_id)
    return AutoRenewalOut(auto_renewal=AutoRenewalPart.model_validate(wish))


@router.post("/compensate")
def compensate(run: RunAdminFresh, body: Compensate) -> CompensatedOut:
    """Give money or days to one user, or to all with a relay on a server; a key gives once.

    Each customer is a transaction of his own: sent again after a failure, the rest get theirs.
    """
    if body.server_id is not None:
        user_ids = run.read(compensation.customers_of, server_id=body.server_id)
    else:
        user_ids = [body.user_id or 0]
    left_out = [
        user_id
        for user_id in user_ids
        if not run(
            compensation.give,
            user_id=user_id,
            fen=body.fen,
            days=body.days,
            reason=body.reason,
            request_key=body.request_key,
        )
    ]
    given = len(user_ids) - len(left_out)
    if body.server_id is not None:
        run(
            compensation.record,
            server_id=body.server_id,
            given=given,
            fen=body.fen,
            days=body.days,
            reason=body.reason,
        )
    return CompensatedOut(users=given, left_out=left_out)
