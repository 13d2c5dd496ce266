"""JSON of log-ins and passwords."""

from __future__ import annotations

from datetime import datetime

from derpman.kit.types import Body, Out, Part
from derpman.users.schemas import Code, Email, Password, UserOut


class Login(Body):
    email: Email
    password: Password
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
