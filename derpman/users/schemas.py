"""JSON of accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from derpman.kit.paging import ExportQuery
from derpman.kit.types import Body, IdValue, Line, Out, Part
from derpman.kit.work import Role
from derpman.users.states import UserStatus

Locale = Literal["zh-CN", "en"]
Username = Annotated[str, Field(min_length=1, max_length=64)]
Email = Annotated[str, Field(min_length=3, max_length=254, examples=["carl@example.com"])]
Password = Annotated[str, Field(min_length=1, max_length=128)]
Code = Annotated[str, Field(min_length=4, max_length=32)]
Token = Annotated[str, Field(min_length=4, max_length=128)]
GivenRole = Literal[Role.USER, Role.DISTRIBUTOR, Role.ADMIN, Role.SUPER_ADMIN]


class Register(Body):
    username: Username
    email: Email
    password: Password
    locale: Locale = "zh-CN"


class RegisteredOut(Out):
    user_id: int


class AskAgain(Body):
    email: Email


class Verify(Body):
    """Either the address and the mailed code, or the token of the mailed link."""

    email: Email | None = None
    code: Code | None = None
    token: Token | None = None
    user_id: IdValue | None = Field(
        None, description="What registration answered; no other registration is looked at then."
    )
    username: Username | None = Field(
        None, description="Another username, when the first was taken in the meantime."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        by_code = self.email is not None and self.code is not None
        if by_code == (self.token is not None) or (self.email is None) != (self.code is None):
            raise ValueError("give email and code, or token")
        return self


class ChooseLocale(Body):
    locale: Locale


class ChangeRole(Body):
    role: GivenRole


class GiveManager(Body):
    user_ids: Annotated[list[IdValue], Field(min_length=1, max_length=500)]
    manager_id: IdValue | None
    """The admin who looks after them from now on; null: nobody in particular."""


class ManagedOut(Out):
    changed: int


class UserOut(Part):
    id: int
    username: str
    email: str
    role: Role
    status: UserStatus
    status_reason: str | None
    locale: str
    rental_expiry: datetime | None
    manager_id: int | None
    """The admin who looks after him."""
    no_renewal_at: datetime | None
    no_renewal_reason: str | None
    deregister_at: datetime | None
    deregistered_at: datetime | None
    created_at: datetime


class OneUserOut(Out):
    user: UserOut


class UsersQuery(ExportQuery):
    search: Line | None = Field(None, description="Beginning of a username or of an address.")
    role: GivenRole | None = None
    status: UserStatus | None = None
    manager_id: IdValue | None = Field(None, description="Whom this admin looks after.")
    sort: (
        Literal["time", "-time", "username", "-username", "rental_expiry", "-rental_expiry"] | None
    ) = None
    """Newest first without it."""


class UsersOut(Out):
    users: list[UserOut]
    next_before: int | None
