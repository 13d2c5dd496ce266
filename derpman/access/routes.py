"""HTTP of log-ins and passwords."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from derpman.access import cookies, recovery, service, steps
from derpman.access.errors import NotFromAPage
from derpman.access.schemas import (
    ChangePassword,
    EndedOut,
    Forgot,
    Login,
    LoginOut,
    Reset,
    SessionOut,
    SessionsOut,
)
from derpman.kit import machines
from derpman.kit.http import Guarded, RunPublic, RunSelf
from derpman.kit.types import IdValue, Out
from derpman.users import service as users
from derpman.users.schemas import UserOut

router = APIRouter(prefix="/api/user", tags=["user"])


@router.post("/login")
def log_in(
    request: Request, run: RunPublic, guards: Guarded, body: Login, response: Response
) -> LoginOut:
    """Log in; send the token as `Authorization: Bearer …` from then on.

    With `browser` the token goes into a cookie instead; what changes anything then needs the
    header `X-Derpman-Page: 1`. An account with a second factor answers
    `access.second_factor_needed` until `code` comes too. A browser without a name gets one in a
    signed cookie, which its downloads are logged with.
    """
    if body.browser and not cookies.is_page(request):
        raise NotFromAPage
    token = steps.log_in(run, guards, email=body.email, password=body.password, code=body.code)
    user = run.read(users.by_email, email=body.email)
    if not run.actor.machine:
        response.set_cookie(
            machines.COOKIE,
            machines.new_browser(run.vault),
            max_age=machines.COOKIE_SECONDS,
            secure=guards.is_https,
            httponly=True,
            samesite="lax",
        )
    if body.browser:
        cookies.keep(response, token, is_https=guards.is_https)
        token = ""
    return LoginOut(token=token, user=UserOut.model_validate(user))


@router.post("/logout")
def log_out(run: RunSelf, guards: Guarded, response: Response) -> Out:
    """End this session."""
    run(service.end_session, session_id=run.actor.session_id or 0, reason="logout")
    cookies.drop(response, is_https=guards.is_https)
    return Out()


@router.get("/sessions")
def list_sessions(run: RunSelf) -> SessionsOut:
    """One's own open sessions."""
    sessions = [SessionOut.model_validate(session) for session in run.read(service.sessions)]
    for session in sessions:
        session.is_current = session.id == run.actor.session_id
    return SessionsOut(sessions=sessions)


@router.post("/sessions/end_others")
def end_others(run: RunSelf) -> EndedOut:
    """End all of one's own sessions but this one."""
    return EndedOut(ended=run(service.end_others))


@router.post("/sessions/{session_id:id}/end")
def end_session(run: RunSelf, session_id: IdValue) -> Out:
    """End one of one's own sessions."""
    run(service.end_session, session_id=session_id)
    return Out()


@router.post("/password/forgot")
def forgot_password(run: RunPublic, guards: Guarded, body: Forgot) -> Out:
    """Have a code mailed that sets a new password; the answer is the same for every address."""
    guards.take_mail_form(run.actor)
    run(recovery.ask_reset, email=body.email)
    return Out()


@router.post("/password/reset")
def reset_password(run: RunPublic, guards: Guarded, body: Reset) -> Out:
    """Set a new password with the mailed code; every session ends."""
    steps.reset_password(run, guards, **body.model_dump())
    return Out()


@router.post("/password/change")
def change_password(run: RunSelf, guards: Guarded, body: ChangePassword) -> Out:
    """Set a new password with the present one; the other sessions end."""
    steps.change_password(run, guards, old=body.old, new=body.new)
    return Out()
