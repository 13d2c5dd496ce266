"""Errors of the domain, in families; `kit.http` alone maps a family to a status."""

from __future__ import annotations

from typing import ClassVar

from derpman.kit.money import with_yuan


class DomainError(Exception):
    """A rule said no. `code` is stable and translated by clients; `params` fill its text in.

    A subclass sets `code` and a `text` with one `{name}` for each parameter it is raised with;
    parameters named `…_fen` are shown in yuan.
    Parameters reach the client: never pass a secret.
    """

    code: ClassVar[str] = "error"
    text: ClassVar[str] = "The request could not be carried out."

    def __init__(self, **params: object) -> None:
        super().__init__(self.code)
        self.params = params

    @property
    def message(self) -> str:
        """Return the English text, for clients that do not translate."""
        return self.text.format_map(_Missing(with_yuan(self.params)))


class _Missing(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "?"


class Unauthenticated(DomainError):
    """Nobody is logged in, or the proof given does not hold."""

    code = "auth.required"
    text = "Log in first."


class Forbidden(DomainError):
    """The actor is known and may not do this."""

    code = "auth.forbidden"
    text = "You may not do this."


class NoPermission(Forbidden):
    """An admin's role does not have the permission that the route is declared with."""

    code = "auth.no_permission"
    text = "Your role does not have the permission “{permission}”."


class OutOfScope(Forbidden):
    """An admin's role reaches his own customers only, and this is about more."""

    code = "auth.out_of_scope"
    text = "Your role reaches the customers that you look after, and nothing else."


class ProofNeeded(Forbidden):
    """What hurts is done by somebody who has just shown that it is he."""

    code = "access.proof_needed"
    text = "Show once more that it is you: POST /api/user/prove, then try again."


class SecondFactorRequired(Forbidden):
    """The operator demands a second factor of this role, and the account has none yet."""

    code = "access.second_factor_required"
    text = "Your account must have a second factor first: POST /api/user/second_factor/begin."


class NotByToken(Forbidden):
    """The route is for people who logged in, or the token's scope does not reach it."""

    code = "access.not_by_token"
    text = "An API token of this scope may not do this."


class NotFound(DomainError):
    """There is no such row for this actor."""

    code = "not_found"
    text = "There is nothing here."


class Conflict(DomainError):
    """A rule, a state or a stale version says no."""

    code = "conflict"
    text = "This cannot be done now."


class Invalid(DomainError):
    """The value is well-formed JSON of the right type, and still not acceptable."""

    code = "request.invalid"
    text = "A value is not acceptable."


class TooMany(DomainError):
    """A limit on how often is reached; `retry_after_seconds` says when to come back."""

    code = "too_many"
    text = "Too many requests. Try again in {retry_after_seconds} seconds."

    def __init__(self, *, retry_after_seconds: int, **params: object) -> None:
        super().__init__(retry_after_seconds=retry_after_seconds, **params)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(DomainError):
    """We are overloaded or a part is missing; the same request may succeed later."""

    code = "unavailable"
    text = "The system is busy. Try again in a moment."


class TransientFailure(Exception):
    """A driver failed in a way that may pass: try again later."""


class PermanentFailure(Exception):
    """A driver failed for good: stop, record, alert."""
