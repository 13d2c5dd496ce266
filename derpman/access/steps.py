"""What takes a password, and so more than one transaction: none is open while a hash is made."""

from __future__ import annotations

from derpman.access import recovery, service
from derpman.access.errors import ResetRefused, WrongLogin, WrongPassword
from derpman.kit import passwords
from derpman.kit.guards import Guards
from derpman.kit.throttle import Limit, network_of
from derpman.kit.work import Edge
from derpman.users import policy
from derpman.users import service as users

TRIES_OF_ONE = Limit("login-account", 10, 60)
"""Wrong passwords for one account from one place: nobody else can lock its owner out."""
TRIES_FROM_ONE = Limit("login-place", 30, 60)
"""Wrong passwords from one place, for whatever account."""


def log_in(run: Edge, guards: Guards, *, email: str, password: str) -> str:
    """Return a token when the password is right; in all else every address is answered alike."""
    key, place = policy.email(email).key, network_of(run.actor.ip)
    guards.check(TRIES_FROM_ONE, place)
    guards.take(TRIES_OF_ONE, f"{key} {place}")
    found = run.read(service.credentials, email=email)
    fits, renewed = passwords.verify_and_update(password, found.password if found else None)
    if found is None or not fits:
        guards.throttle.take(TRIES_FROM_ONE, place)
        run(service.record_refused_login, email=key, user_id=found.user_id if found else None)
        raise WrongLogin
    guards.throttle.forget(TRIES_OF_ONE, f"{key} {place}")
    return run(
        service.open_session,
        user_id=found.user_id,
        days=guards.session_days,
        verified=found.password,
        renewed=renewed,
        contact=guards.support_contact,
    )


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


def reset_password(run: Edge, guards: Guards, *, email: str, code: str, password: str) -> None:
    """Set a new password when the mailed code is right, and end every session."""
    guards.take_form(run.actor)
    address = policy.email(email)
    users.acceptable_password(password, address.text, address.text)
    if not run(recovery.reset, email=email, code=code, password_hash=passwords.hash(password)):
        raise ResetRefused
