"""JSON of log-ins and passwords."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from derpman.access.states import TokenScope
from derpman.kit.types import Body, Line, Out, Part
from derpman.users.schemas import Code, Email, Password, UserOut

FactorCode = Annotated[str, Field(min_length=6, max_length=32)]


class Login(Body):
    email: Email
    password: Password
    code: FactorCode | None = None
    """Of the authenticator app, or a recovery code; for accounts with a second factor."""
    browser: bool = False
    """Keep the session in a cookie that scripts cannot read; `token` is empty then."""


class LoginOut(Out):
    token: str
    user: UserOut


class SessionOut(Part):
    id: int
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    ip_address: str
    location: str
    browser: str
    is_current: bool = False


class SessionsOut(Out):
    sessions: list[SessionOut]


class EndedOut(Out):
    ended: int


class Forgot(Body):
    email: Email


class Reset(Body):
    email: Email
    code: Code
    password: Password


class ChangePassword(Body):
    old: Password
    new: Password


class Prove(Body):
    password: Password
    code: FactorCode | None = None


class GiveCode(Body):
    code: FactorCode


class FactorOut(Out):
    is_on: bool
    since: datetime | None
    is_demanded: bool
    """The operator demands it of accounts like this one."""
    recovery_codes_left: int


class FactorBegunOut(Out):
    secret: str
    address: str
    """`otpauth:`, for a QR code; shown now and never again."""


class RecoveryCodesOut(Out):
    recovery_codes: list[str]
    """Each stands in for the app once; shown now and never again."""


class NewToken(Body):
    name: Annotated[Line, Field(max_length=64)]
    scope: TokenScope = TokenScope.READ
    days: Annotated[int, Field(ge=1, le=366)] = 90


class TokenPart(Part):
    id: int
    name: str
    scope: TokenScope
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class TokensOut(Out):
    tokens: list[TokenPart]


class NewTokenOut(Out):
    token: str
    """Shown now and never again."""
    about: TokenPart
