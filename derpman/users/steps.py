"""Registration takes a password, and so more than one transaction: none is open during a hash."""

from __future__ import annotations

from derpman.kit import passwords
from derpman.kit.guards import Guards
from derpman.kit.work import Edge
from derpman.users import registration
from derpman.users.errors import CodeRefused
from derpman.users.models import User


def register(
    run: Edge, guards: Guards, *, username: str, email: str, password: str, locale: str
) -> int:
    """Record the wish to have an account; return its id. Every address is answered alike."""
    guards.take_mail_form(run.actor)
    name, address = registration.acceptable(username=username, email=email, password=password)
    return run(
        registration.register,
        name=name,
        address=address,
        password_hash=passwords.hash(password),
        locale=locale,
    )


def ask_again(run: Edge, guards: Guards, *, email: str) -> None:
    """Have the code of a registration mailed once more."""
    guards.take_mail_form(run.actor)
    run(registration.ask_again, email=email)


def verify_code(
    run: Edge,
    guards: Guards,
    *,
    email: str,
    code: str,
    registration_id: int | None,
    username: str | None,
) -> User:
    """Open the account that a code was mailed for, else raise CodeRefused."""
    guards.take_form(run.actor)
    return _opened(
        run(
            registration.verify_code,
            email=email,
            code=code,
            registration_id=registration_id,
            username=username,
        )
    )


def verify_link(run: Edge, guards: Guards, *, token: str, username: str | None) -> User:
    """Open the account that a link was mailed for, else raise CodeRefused."""
    guards.take_form(run.actor)
    return _opened(run(registration.verify_link, token=token, username=username))


def _opened(user: User | None) -> User:
    if user is None:
        raise CodeRefused
    return user
