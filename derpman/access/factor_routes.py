"""HTTP of the second factor, of showing once more who one is, and of API tokens."""

from __future__ import annotations

from fastapi import APIRouter

from derpman.access import factors, service, steps, tokens
from derpman.access.schemas import (
    FactorBegunOut,
    FactorOut,
    GiveCode,
    NewToken,
    NewTokenOut,
    Prove,
    RecoveryCodesOut,
    TokenPart,
    TokensOut,
)
from derpman.kit.http import Guarded, RunSelf, RunSelfFresh, RunSuperAdminFresh
from derpman.kit.types import IdValue, Out

router = APIRouter(prefix="/api/user", tags=["user"])
admin_router = APIRouter(prefix="/api/security", tags=["security"])


@router.post("/prove")
def prove(run: RunSelf, guards: Guarded, body: Prove) -> Out:
    """Show once more that it is you, so that this session may do what hurts for a while."""
    steps.prove(run, guards, password=body.password, code=body.code)
    return Out()


@router.get("/second_factor")
def second_factor(run: RunSelf, guards: Guarded) -> FactorOut:
    """Whether the account has a second factor, and whether it must."""
    since, left = run.read(factors.standing)
    return FactorOut(
        is_on=since is not None,
        since=since,
        is_demanded=run.actor.role in guards.second_factor_for,
        recovery_codes_left=left,
    )


@router.post("/second_factor/begin")
def begin(run: RunSelfFresh) -> FactorBegunOut:
    """Get a secret for an authenticator app; it counts once a code of it was confirmed."""
    secret, address = run(factors.begin)
    return FactorBegunOut(secret=secret, address=address)


@router.post("/second_factor/confirm")
def confirm(run: RunSelfFresh, guards: Guarded, body: GiveCode) -> RecoveryCodesOut:
    """Switch the second factor on with the app's first code; get the recovery codes."""
    steps.take_code(guards, run.actor.user_id or 0, body.code)
    return RecoveryCodesOut(recovery_codes=run(factors.confirm, code=body.code))


@router.post("/second_factor/recovery_codes")
def new_recovery_codes(run: RunSelfFresh, guards: Guarded, body: GiveCode) -> RecoveryCodesOut:
    """Void the recovery codes and get others."""
    steps.take_code(guards, run.actor.user_id or 0, body.code)
    return RecoveryCodesOut(recovery_codes=run(factors.renew_codes, code=body.code))


@router.post("/second_factor/remove")
def remove(run: RunSelfFresh, guards: Guarded, body: GiveCode) -> Out:
    """Switch the second factor off, where the operator does not demand it."""
    steps.take_code(guards, run.actor.user_id or 0, body.code)
    is_demanded = run.actor.role in guards.second_factor_for
    run(factors.remove, code=body.code, is_demanded=is_demanded)
    return Out()


@router.get("/tokens")
def list_tokens(run: RunSelf) -> TokensOut:
    """One's own API tokens, also those that ended; not their secrets."""
    return TokensOut(tokens=[TokenPart.model_validate(row) for row in run.read(tokens.of_actor)])


@router.post("/tokens")
def new_token(run: RunSelfFresh, body: NewToken) -> NewTokenOut:
    """Make a token for programs: `Authorization: Bearer derpman_…`."""
    token, row = run(tokens.issue, name=body.name, scope=body.scope, days=body.days)
    return NewTokenOut(token=token, about=TokenPart.model_validate(row))


@router.post("/tokens/{token_id:id}/revoke")
def revoke_token(run: RunSelf, token_id: IdValue) -> Out:
    """End one of one's own API tokens."""
    run(tokens.revoke, token_id=token_id)
    return Out()


@admin_router.post("/users/{user_id:id}/second_factor/reset")
def reset_second_factor(run: RunSuperAdminFresh, user_id: IdValue) -> Out:
    """Take the second factor from somebody who lost app and codes; his sessions end."""
    run(service.reset_second_factor, user_id=user_id)
    return Out()
