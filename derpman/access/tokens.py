"""Verbs of API tokens: for programs, with an end and a scope."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select, update

from derpman.access.errors import TokenNotFound, TooManyTokens
from derpman.access.models import AdminMember, AdminRole, ApiToken, SecondFactor
from derpman.access.service import SEEN_EVERY, Identity, permissions_of
from derpman.access.states import RoleScope, TokenScope
from derpman.kit.db import changed
from derpman.kit.secrets import new_token, token_hash
from derpman.kit.work import Role, UnitOfWork
from derpman.logs import service as logs
from derpman.users import service as users
from derpman.users.models import User

PREFIX = "derpman_"
"""So that scanners of published code know one when they see it."""
MOST = 20


def issue(work: UnitOfWork, *, name: str, scope: TokenScope, days: int) -> tuple[str, ApiToken]:
    """Return a token, which is known to nobody else, and its row."""
    user = users.lock(work, work.actor.user_id or 0)
    live = (
        ApiToken.user_id == user.id,
        ApiToken.revoked_at.is_(None),
        ApiToken.expires_at > work.now,
    )
    if (work.session.scalar(select(func.count(ApiToken.id)).where(*live)) or 0) >= MOST:
        raise TooManyTokens(limit=MOST)
    token = PREFIX + new_token()
    row = ApiToken(
        user_id=user.id,
        role=user.role,
        name=name,
        scope=scope,
        token_hash=token_hash(token),
        created_at=work.now,
        expires_at=work.now + timedelta(days=days),
    )
    work.session.add(row)
    work.session.flush()
    _log(work, user.id, "token_issued", {"id": row.id, "name": name, "scope": scope, "days": days})
    return token, row


def of_actor(work: UnitOfWork) -> Sequence[ApiToken]:
    """Return the actor's tokens, the newest first; also those that ended."""
    return work.session.scalars(
        select(ApiToken)
        .where(ApiToken.user_id == work.actor.user_id)
        .order_by(ApiToken.id.desc())
        .limit(200)
    ).all()


def revoke(work: UnitOfWork, *, token_id: int) -> None:
    """End one of the actor's tokens; TokenNotFound for any other."""
    user_id = work.actor.user_id or 0
    mine = (ApiToken.id == token_id, ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
    if not changed(work.session, update(ApiToken).where(*mine).values(revoked_at=work.now)):
        raise TokenNotFound
    _log(work, user_id, "token_revoked", {"id": token_id})
    work.wake("sessions")


def revoke_all(work: UnitOfWork, *, user_id: int) -> int:
    """End every token of a user; return how many."""
    mine = (ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
    work.wake("sessions")
    return changed(work.session, update(ApiToken).where(*mine).values(revoked_at=work.now))


def find(work: UnitOfWork, *, hashed_token: str) -> Identity | None:
    """Return whom an API token stands for now, or None: one statement."""
    row = work.session.execute(
        select(
            ApiToken,
            User.username,
            User.role,
            SecondFactor.confirmed_at,
            AdminRole.permissions,
            AdminRole.scope,
        )
        .join(User, User.id == ApiToken.user_id)
        .outerjoin(SecondFactor, SecondFactor.user_id == User.id)
        .outerjoin(AdminMember, AdminMember.user_id == User.id)
        .outerjoin(AdminRole, AdminRole.id == AdminMember.role_id)
        .where(
            ApiToken.token_hash == hashed_token,
            ApiToken.revoked_at.is_(None),
            ApiToken.expires_at > work.now,
            ApiToken.role == User.role,
            User.status.in_(users.MAY_LOG_IN),
        )
    ).first()
    if row is None:
        return None
    token: ApiToken = row[0]
    return Identity(
        None,
        token.user_id,
        row.username,
        row.role,
        token.last_used_at or token.created_at - SEEN_EVERY,
        has_second_factor=row.confirmed_at is not None,
        permissions=permissions_of(row.role, row.permissions),
        has_own_only=row.role is Role.ADMIN and row.scope is RoleScope.OWN,
        scope=token.scope,
        token_id=token.id,
    )


def touch(work: UnitOfWork, *, token_id: int) -> None:
    """Write down that a token is in use; it does not live longer for that."""
    work.session.execute(
        update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=work.now)
    )


def _log(work: UnitOfWork, user_id: int, what: str, about: dict[str, object]) -> None:
    logs.record(work, action=f"access.{what}", object_type="user", object_id=user_id, after=about)
    logs.record_user(work, user_id=user_id, action=what, detail=about)
