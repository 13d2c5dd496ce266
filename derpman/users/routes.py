"""HTTP of accounts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from derpman.kit.csvfile import CSV, listed
from derpman.kit.http import (
    Guarded,
    RunAdmin,
    RunPublic,
    RunSuperAdmin,
    RunSuperAdminFresh,
    RunUser,
)
from derpman.kit.types import IdValue, Out
from derpman.users import managing, queries, service, steps
from derpman.users.schemas import (
    AskAgain,
    ChangeRole,
    ChooseLocale,
    GiveManager,
    ManagedOut,
    OneUserOut,
    Register,
    RegisteredOut,
    UserOut,
    UsersOut,
    UsersQuery,
    Verify,
)

router = APIRouter(prefix="/api/user", tags=["user"])


@router.post("/register")
def register(run: RunPublic, guards: Guarded, body: Register) -> RegisteredOut:
    """Wish for an account: a code and a link are mailed to the address.

    The answer is the same for an address that has an account; its owner is told by mail.
    """
    return RegisteredOut(user_id=steps.register(run, guards, **body.model_dump()))


@router.post("/resend")
def ask_again(run: RunPublic, guards: Guarded, body: AskAgain) -> Out:
    """Have a new code mailed for the newest registration of an address."""
    steps.ask_again(run, guards, email=body.email)
    return Out()


@router.post("/verify")
def verify(run: RunPublic, guards: Guarded, body: Verify) -> OneUserOut:
    """Open the account, with the code or the link's token from the mail."""
    if body.token is not None:
        user = steps.verify_link(run, guards, token=body.token, username=body.username)
    else:
        user = steps.verify_code(
            run,
            guards,
            email=body.email or "",
            code=body.code or "",
            registration_id=body.user_id,
            username=body.username,
        )
    return OneUserOut(user=UserOut.model_validate(user))


@router.get("/me")
def me(run: RunUser) -> OneUserOut:
    """One's own account."""
    user = run.read(service.get, run.actor.user_id or 0)
    return OneUserOut(user=UserOut.model_validate(user))


@router.post("/locale")
def choose_locale(run: RunUser, body: ChooseLocale) -> OneUserOut:
    """Choose the language of one's own mails."""
    user = run(service.set_locale, locale=body.locale)
    return OneUserOut(user=UserOut.model_validate(user))


@router.get("/list", response_model=UsersOut, responses=CSV)
def list_users(run: RunAdmin, query: Annotated[UsersQuery, Query()]) -> Any:
    """Accounts, the newest first; of an admin whose role reaches no further, his own customers."""

    def read(query: UsersQuery) -> UsersOut:
        asked = query.asked()
        if run.actor.has_own_only:
            asked["manager_id"] = run.actor.user_id
        users, next_before = run.read(queries.users_page, **asked)
        return UsersOut(
            users=[UserOut.model_validate(user) for user in users], next_before=next_before
        )

    return listed(query, read, name="users", rows="users", row=UserOut)


@router.post("/manager")
def give_manager(run: RunSuperAdmin, body: GiveManager) -> ManagedOut:
    """Have an admin look after users: all of them, or none when one is not there."""
    return ManagedOut(changed=run(managing.give, **body.model_dump()))


@router.get("/{user_id:id}")
def one_user(run: RunAdmin, user_id: IdValue) -> OneUserOut:
    """One account."""
    return OneUserOut(user=UserOut.model_validate(run.read(service.get, user_id)))


@router.post("/{user_id:id}/role")
def change_role(run: RunSuperAdminFresh, user_id: IdValue, body: ChangeRole) -> OneUserOut:
    """Make somebody customer, distributor, admin or super admin."""
    user = run(service.set_role, user_id=user_id, role=body.role)
    return OneUserOut(user=UserOut.model_validate(user))
