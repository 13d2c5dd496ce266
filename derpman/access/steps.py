"""What takes a password, and so more than one transaction: none is open while a hash is made."""

from __future__ import annotations

from derpman.access import recovery, service
from derpman.access.errors import (
    ResetRefused,
    SecondFactorNeeded,
    WrongLogin,
    WrongPassword,
    WrongSecondFactor,
)
from derpman.kit import passwords
from derpman.kit.guards import Guards
from derpman.kit.throttle import Limit, network_of, wide_network_of
from derpman.kit.work import Actor, Edge
from derpman.users import policy
from derpman.users import service as users

TRIES_OF_ONE = Limit("login-account", 10, 60)
"""Wrong passwords for one account from one place: nobody else can lock its owner out."""
TRIES_FROM_ONE = Limit("login-place", 30, 60)
"""Wrong passwords from one place, for whatever account."""

TRIES_FROM_NETWORK = Limit("login-network", 240, 60)
"""Wrong passwords from a wide network, but for browsers that have logged in before."""
TRIES_OF_BROWSER = Limit("login-browser", 10, 60)
"""Log-ins of one such browser that have a lane of their own."""

CODES_OF_ONE = Limit("second-factor", 10, 1800)
"""Codes of one account's second factor, from everywhere: only who has the password gets so far."""


def log_in(run: Edge, guards: Guards, *, email: str, password: str, code: str | None = None) -> str:
    """Return a token when the password is right; in all else every address is answered alike.

    An account with a second factor needs a code too, and only the right password is told so.
    """
    key, place = policy.email(email).key, network_of(run.actor.ip)
    wide = wide_network_of(run.actor.ip)
    is_known = _has_a_lane(guards, run.actor)
    guards.check(TRIES_FROM_ONE, place)
    if not is_known:
        guards.check(TRIES_FROM_NETWORK, wide)
    guards.take(TRIES_OF_ONE, f"{key} {place}")
    found = run.read(service.credentials, email=email)
    verify = passwords.verify_known if is_known else passwords.verify_and_update
    fits, renewed = verify(password, found.password if found else None)
    if found is None or not fits:
        guards.throttle.take(TRIES_FROM_ONE, place)
        guards.throttle.take(TRIES_FROM_NETWORK, wide)
        run(service.record_refused_login, email=key, user_id=found.user_id if found else None)
        raise WrongLogin
    guards.throttle.forget(TRIES_OF_ONE, f"{key} {place}")
    if found.has_second_factor:
        if code is None:
            raise SecondFactorNeeded
        guards.take(CODES_OF_ONE, str(found.user_id))
    try:
        return run(
            service.open_session,
            user_id=found.user_id,
            days=guards.session_days,
            verified=found.password,
            renewed=renewed,
            code=code,
            contact=guards.support_contact,
        )
    except WrongSecondFactor:
        run(service.record_refused_login, email=key, user_id=found.user_id)
        raise


def _has_a_lane(guards: Guards, actor: Actor) -> bool:
    """Tell whether a browser that logged in here before comes: a flood does not hold it up.

    Its name is signed and was given to it with a log-in; who passes one on shares ten a minute.
    """
    kind, _, name = actor.machine.partition(":")
    if kind != "browser":
        return False
    return guards.throttle.take(TRIES_OF_BROWSER, name.partition(":")[0]) == 0


def prove(run: Edge, guards: Guards, *, password: str, code: str | None) -> None:
    """Show once more that it is he: by his password, and a code where there is a second factor."""
    key = f"prove {run.actor.user_id} {network_of(run.actor.ip)}"
    guards.take(TRIES_OF_ONE, key)
    stored, user = run.read(recovery.password_of)
    if not passwords.verify(password, stored):
        raise WrongPassword
    take_code(guards, user.id, code)
    run(service.prove, verified=stored, code=code)
    guards.throttle.forget(TRIES_OF_ONE, key)


def take_code(guards: Guards, user_id: int, code: str | None) -> None:
    """Count a try of a second factor's code."""
    if code is not None:
        guards.take(CODES_OF_ONE, str(user_id))


def change_password(run: Edge, guards: Guards, *, old: str, new: str) -> None:
    """Set a new password when the present one is right, and end the other sessions."""
    key = f"change {run.actor.user_id} {network_of(run.actor.ip)}"
    guards.take(TRIES_OF_ONE, key)
    stored, user = run.read(recovery.password_of)
    users.acceptable_password(new, user.username, user.email)
    if not passwords.verify(old, stored):
        raise WrongPassword
    guards.throttle.forget(TRIES_OF_ONE, key)
    run(recovery.change, verified=stored, password_hash=passwords.hash(new))


def confirm_password(run: Edge, guards: Guards, *, password: str) -> None:
    """Pass when this is the actor's password: before what cannot be taken back."""
    key = f"confirm {run.actor.user_id} {network_of(run.actor.ip)}"
    guards.take(TRIES_OF_ONE, key)
    stored, _ = run.read(recovery.password_of)
    if not passwords.verify(password, stored):
        raise WrongPassword
    guards.throttle.forget(TRIES_OF_ONE, key)


def reset_password(run: Edge, guards: Guards, *, email: str, code: str, password: str) -> None:
    """Set a new password when the mailed code is right, and end every session."""
    guards.take_form(run.actor)
    address = policy.email(email)
    users.acceptable_password(password, address.text, address.text)
    if not run(recovery.reset, email=email, code=code, password_hash=passwords.hash(password)):
        raise ResetRefused
