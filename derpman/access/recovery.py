"""Verbs that set another password: with the present one, or with a mailed code."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select, update

from derpman.access import service, tokens
from derpman.access.errors import WrongPassword
from derpman.access.events import PasswordForgotten
from derpman.access.models import PasswordReset
from derpman.kit import browsers, codes, places
from derpman.kit.db import changed
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.notifications import service as notifications
from derpman.users import messages, policy
from derpman.users import service as users
from derpman.users.models import User

CODE_LIFE = timedelta(minutes=30)
KEPT = timedelta(days=30)
PURPOSE = "reset"


def ask_reset(work: UnitOfWork, *, email: str) -> None:
    """Have a code mailed to an address if it has an account; the same work if it has none."""
    address = policy.email(email)
    notifications.take_allowance(work, address_key=address.key)
    user_id = work.session.scalar(select(User.id).where(User.email_key == address.key))
    work.emit(PasswordForgotten(user_id=user_id))


def send_reset(work: UnitOfWork, *, user_id: int | None) -> None:
    """Mail a code that sets a new password, once and for half an hour."""
    if user_id is None:
        return
    user = users.get(work, user_id)
    reset = PasswordReset(
        user_id=user.id, code_hash="", created_at=work.now, expires_at=work.now + CODE_LIFE
    )
    work.session.add(reset)
    work.session.flush()
    code = codes.new_letters()
    reset.code_hash = codes.digest(work.vault, PURPOSE, reset.id, code)
    messages.mail(
        work,
        user.id,
        "password_reset",
        params={"minutes": int(CODE_LIFE.total_seconds() // 60)},
        secrets={"code": code},
    )


def reset(work: UnitOfWork, *, email: str, code: str, password_hash: str) -> bool:
    """Set a new password and end every session; False, and one try less, when the code is not it.

    The try is counted before the code is looked at, and False is no exception, because that would
    undo the count.
    """
    key = policy.email(email).key
    user_id = work.session.scalar(select(User.id).where(User.email_key == key).with_for_update())
    live = (
        PasswordReset.user_id == (user_id or 0),
        PasswordReset.used_at.is_(None),
        PasswordReset.expires_at > work.now,
    )
    count = update(PasswordReset).where(*live).values(wrong_codes=PasswordReset.wrong_codes + 1)
    work.session.execute(count, execution_options={"synchronize_session": False})
    for row in work.session.scalars(
        select(PasswordReset).where(*live, PasswordReset.wrong_codes <= codes.MAX_WRONG)
    ).all():
        if codes.fits(work.vault, PURPOSE, row.id, code, row.code_hash):
            work.session.execute(
                update(PasswordReset).where(*live).values(used_at=work.now),
                execution_options={"synchronize_session": False},
            )
            _set_password(work, users.get(work, row.user_id), password_hash, "reset")
            tokens.revoke_all(work, user_id=row.user_id)
            return True
    logs.record(work, action="access.reset_refused", object_type="user")
    return False


def change(work: UnitOfWork, *, verified: str, password_hash: str) -> None:
    """Set a new password and end the actor's other sessions.

    `verified` is the hash that the present password was checked against.
    """
    user = users.lock(work, work.actor.user_id or 0)
    if user.password != verified:
        raise WrongPassword
    _set_password(work, user, password_hash, "change", keep_session_id=work.actor.session_id)


def password_of(work: UnitOfWork) -> tuple[str, User]:
    """Return the hash of the actor's present password, and his account."""
    user = users.require_active(work, work.actor.user_id or 0)
    return user.password, user


def forget_old(work: UnitOfWork, *, limit: int = 1000) -> int:
    """Delete up to `limit` resets that are of no more use; return how many."""
    old = work.session.scalars(
        select(PasswordReset.id)
        .where(PasswordReset.expires_at < work.now - KEPT)
        .order_by(PasswordReset.expires_at)
        .limit(limit)
    ).all()
    if not old:
        return 0
    return changed(work.session, delete(PasswordReset).where(PasswordReset.id.in_(old)))


def _set_password(
    work: UnitOfWork, user: User, password_hash: str, how: str, keep_session_id: int | None = None
) -> None:
    users.set_password(work, user, password_hash)
    service.end_sessions(
        work, user_id=user.id, reason=f"password_{how}", keep_session_id=keep_session_id
    )
    logs.record(work, action=f"access.password_{how}", object_type="user", object_id=user.id)
    logs.record_user(work, user_id=user.id, action=f"password_{how}")
    place = places.place_of(work.actor.ip)
    messages.mail(
        work,
        user.id,
        "password_changed",
        params={
            "at": work.now,
            "ip": work.actor.ip,
            "place": place.label_zh if user.locale == "zh-CN" else place.label_en,
            "browser": str(browsers.browser_of(work.actor.user_agent)),
        },
    )
