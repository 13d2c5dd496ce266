"""Verbs of sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from derpman.access import adminroles, factors
from derpman.access.errors import SessionNotFound, WrongLogin, WrongPassword
from derpman.access.models import AdminMember, AdminRole, LoginSession, SecondFactor
from derpman.access.states import RoleScope, TokenScope
from derpman.kit import browsers, places
from derpman.kit.db import changed
from derpman.kit.secrets import new_token, token_hash
from derpman.kit.work import Role, UnitOfWork
from derpman.logs import service as logs
from derpman.users import policy
from derpman.users import service as users
from derpman.users.models import User

SEEN_EVERY = timedelta(minutes=5)
KEPT = timedelta(days=30)
"""How long an ended session can still be looked at."""


@dataclass(frozen=True)
class Identity:
    """Whom a token stands for."""

    session_id: int | None
    user_id: int
    username: str
    role: Role
    last_seen_at: datetime
    has_second_factor: bool = False
    proved_at: datetime | None = None
    permissions: frozenset[str] | None = None
    has_own_only: bool = False
    """His role reaches the customers he looks after, and nothing else."""
    scope: TokenScope | None = None
    """Of an API token."""
    token_id: int | None = None


@dataclass(frozen=True)
class Credentials:
    """What a log-in is checked against, outside any transaction."""

    user_id: int
    password: str
    has_second_factor: bool


def credentials(work: UnitOfWork, *, email: str) -> Credentials | None:
    """Return what the account of an address is checked against, or None."""
    row = work.session.execute(
        select(User.id, User.password, SecondFactor.confirmed_at)
        .outerjoin(SecondFactor, SecondFactor.user_id == User.id)
        .where(User.email_key == policy.email(email).key)
    ).first()
    return None if row is None else Credentials(row.id, row.password, row.confirmed_at is not None)


def open_session(
    work: UnitOfWork,
    *,
    user_id: int,
    days: int = 30,
    verified: str | None = None,
    renewed: str | None = None,
    code: str | None = None,
    contact: str = "the administrators",
) -> str:
    """Log a user in and return the token, which is known to nobody else.

    `verified` is the hash that his password was checked against; when it is no longer the
    account's, the log-in fails. The account is locked, so that whoever changes the password or
    suspends it either comes first and is seen, or comes later and ends this session too.
    `code` is of the second factor, where `verified` says that somebody else logs in.
    `renewed` replaces a hash whose parameters are old.
    """
    user = users.lock(work, user_id)
    if verified is not None and user.password != verified:
        raise WrongLogin
    users.refuse_login(user, contact)
    if verified is not None:
        factors.pass_login(work, user_id=user.id, code=code)
    if renewed is not None:
        users.set_password(work, user, renewed)
    token = new_token()
    work.session.add(
        LoginSession(
            user_id=user.id,
            role=user.role,
            token_hash=token_hash(token),
            created_at=work.now,
            last_seen_at=work.now,
            proved_at=work.now,
            expires_at=work.now + timedelta(days=days),
            ip_address=work.actor.ip,
            location=places.place_of(work.actor.ip).label_zh[:128],
            browser=str(browsers.browser_of(work.actor.user_agent))[:128],
        )
    )
    logs.record_user(work, user_id=user.id, action="login")
    return token


def record_refused_login(work: UnitOfWork, *, email: str, user_id: int | None) -> None:
    """Keep that a log-in failed: the same row whether there is such an account or not."""
    logs.record(
        work,
        action="access.login_refused",
        object_type="user",
        object_id=user_id,
        after={
            "email": email[:254],
            "location": places.place_of(work.actor.ip).label_zh[:128],
            "browser": str(browsers.browser_of(work.actor.user_agent))[:128],
        },
    )


def find(work: UnitOfWork, *, hashed_token: str) -> Identity | None:
    """Return whom a token stands for now, or None: one statement."""
    row = work.session.execute(
        select(
            LoginSession.id,
            LoginSession.last_seen_at,
            LoginSession.proved_at,
            LoginSession.user_id,
            User.username,
            User.role,
            SecondFactor.confirmed_at,
            AdminRole.permissions,
            AdminRole.scope,
        )
        .join(User, User.id == LoginSession.user_id)
        .outerjoin(SecondFactor, SecondFactor.user_id == User.id)
        .outerjoin(AdminMember, AdminMember.user_id == User.id)
        .outerjoin(AdminRole, AdminRole.id == AdminMember.role_id)
        .where(
            LoginSession.role == User.role,
            LoginSession.token_hash == hashed_token,
            LoginSession.ended_at.is_(None),
            LoginSession.expires_at > work.now,
            User.status.in_(users.MAY_LOG_IN),
        )
    ).first()
    if row is None:
        return None
    return Identity(
        row.id,
        row.user_id,
        row.username,
        row.role,
        row.last_seen_at,
        has_second_factor=row.confirmed_at is not None,
        proved_at=row.proved_at,
        permissions=permissions_of(row.role, row.permissions),
        has_own_only=row.role is Role.ADMIN and row.scope is RoleScope.OWN,
    )


def permissions_of(role: Role, stored: str | None) -> frozenset[str] | None:
    """Return what an admin's role permits; None for everybody else, and for one without a role."""
    return adminroles.permitted(stored) if role is Role.ADMIN else None


def prove(work: UnitOfWork, *, verified: str, code: str | None) -> None:
    """Write down that the actor has just shown that it is he: by his password, or by a code.

    `verified` is the hash that the password was checked against; whoever has a second factor
    needs a code of it instead.
    """
    user = users.lock(work, work.actor.user_id or 0)
    if user.password != verified:
        raise WrongPassword
    factors.pass_login(work, user_id=user.id, code=code)
    prove_session(work)


def prove_session(work: UnitOfWork) -> None:
    """Let what hurts be done from this session for a while."""
    work.session.execute(
        update(LoginSession)
        .where(LoginSession.id == work.actor.session_id)
        .values(proved_at=work.now)
    )
    work.wake("sessions")


def holding(work: UnitOfWork, *, hashed_tokens: Sequence[str]) -> set[str]:
    """Return which of these tokens' sessions are open: one statement."""
    found = (
        select(LoginSession.token_hash)
        .join(User, User.id == LoginSession.user_id)
        .where(
            LoginSession.token_hash.in_(hashed_tokens),
            LoginSession.role == User.role,
            LoginSession.ended_at.is_(None),
            LoginSession.expires_at > work.now,
            User.status.in_(users.MAY_LOG_IN),
        )
    )
    return set(work.session.scalars(found))


def is_stale(identity: Identity, now: datetime) -> bool:
    """Tell whether it is time to write down that a session is in use."""
    return now - identity.last_seen_at >= SEEN_EVERY


def touch(work: UnitOfWork, *, session_id: int, days: int) -> None:
    """Write down that a session is in use, which prolongs it; of several at once one does."""
    work.session.execute(
        update(LoginSession)
        .where(
            LoginSession.id == session_id,
            LoginSession.ended_at.is_(None),
            LoginSession.last_seen_at <= work.now - SEEN_EVERY,
        )
        .values(last_seen_at=work.now, expires_at=work.now + timedelta(days=days))
    )


def sessions(work: UnitOfWork) -> Sequence[LoginSession]:
    """Return the actor's open sessions, the last used first."""
    return work.session.scalars(
        select(LoginSession)
        .where(
            LoginSession.user_id == work.actor.user_id,
            LoginSession.ended_at.is_(None),
            LoginSession.expires_at > work.now,
        )
        .order_by(LoginSession.last_seen_at.desc(), LoginSession.id.desc())
        .limit(200)
    ).all()


def end_session(work: UnitOfWork, *, session_id: int, reason: str = "ended") -> None:
    """End one of the actor's sessions; SessionNotFound for any other."""
    ended = changed(
        work.session,
        update(LoginSession)
        .where(
            LoginSession.id == session_id,
            LoginSession.user_id == work.actor.user_id,
            LoginSession.ended_at.is_(None),
        )
        .values(ended_at=work.now, end_reason=reason),
    )
    if not ended:
        raise SessionNotFound
    logs.record_user(
        work, user_id=work.actor.user_id or 0, action="logout", detail={"session": session_id}
    )
    work.wake("sessions")


def end_others(work: UnitOfWork) -> int:
    """End all of the actor's sessions but the one that asks; return how many."""
    user_id = work.actor.user_id or 0
    ended = end_sessions(
        work, user_id=user_id, reason="ended", keep_session_id=work.actor.session_id
    )
    logs.record_user(work, user_id=user_id, action="logout_others", detail={"sessions": ended})
    return ended


def reset_second_factor(work: UnitOfWork, *, user_id: int) -> None:
    """Take somebody's second factor, and end his sessions: who asked for it may be somebody else.

    For super admins and the shell.
    """
    factors.reset(work, user_id=user_id)
    end_sessions(work, user_id=user_id, reason="second_factor_reset")


def end_sessions(
    work: UnitOfWork, *, user_id: int, reason: str, keep_session_id: int | None = None
) -> int:
    """End a user's sessions, but the one to keep; return how many. Honoured within a second."""
    end = (
        update(LoginSession)
        .where(LoginSession.user_id == user_id, LoginSession.ended_at.is_(None))
        .values(ended_at=work.now, end_reason=reason)
    )
    if keep_session_id is not None:
        end = end.where(LoginSession.id != keep_session_id)
    work.wake("sessions")
    return changed(work.session, end)


def forget_old(work: UnitOfWork, *, limit: int = 1000) -> int:
    """Delete up to `limit` sessions that ended by themselves long ago; return how many."""
    old = work.session.scalars(
        select(LoginSession.id)
        .where(LoginSession.expires_at < work.now - KEPT)
        .order_by(LoginSession.expires_at)
        .limit(limit)
    ).all()
    if not old:
        return 0
    return changed(work.session, delete(LoginSession).where(LoginSession.id.in_(old)))
