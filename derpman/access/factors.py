"""Verbs of the second factor: an authenticator app, and recovery codes that stand in for it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, select, update

from derpman.access.errors import (
    FactorDemanded,
    FactorThere,
    NoFactor,
    SecondFactorNeeded,
    WrongSecondFactor,
)
from derpman.access.models import RecoveryCode, SecondFactor
from derpman.kit import browsers, codes, places, totp
from derpman.kit.db import changed
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.users import messages
from derpman.users import service as users

ISSUER = "DERP Management"
PURPOSE = "recovery code"
RECOVERY_CODES = 10


def standing(work: UnitOfWork) -> tuple[datetime | None, int]:
    """Return since when the actor has a second factor, or None, and how many codes are left."""
    factor = work.session.get(SecondFactor, work.actor.user_id or 0)
    since = None if factor is None else factor.confirmed_at
    left = work.session.scalar(
        select(func.count(RecoveryCode.id)).where(
            RecoveryCode.user_id == work.actor.user_id, RecoveryCode.used_at.is_(None)
        )
    )
    return since, left or 0


def begin(work: UnitOfWork) -> tuple[str, str]:
    """Return a new secret, and its address for apps; nothing is asked for before `confirm`."""
    user = users.lock(work, work.actor.user_id or 0)
    factor = work.session.get(SecondFactor, user.id)
    if factor is not None and factor.confirmed_at is not None:
        raise FactorThere
    secret = totp.new_secret()
    sealed = work.vault.seal(secret)
    if factor is None:
        work.session.add(
            SecondFactor(user_id=user.id, secret=sealed, last_step=0, created_at=work.now)
        )
    else:
        factor.secret, factor.created_at = sealed, work.now
    return secret, totp.address(secret, issuer=ISSUER, account=user.email)


def confirm(work: UnitOfWork, *, code: str) -> list[str]:
    """Ask for the app from now on, when a code shows that it has the secret; return codes."""
    user = users.lock(work, work.actor.user_id or 0)
    factor = work.session.get(SecondFactor, user.id)
    if factor is None:
        raise NoFactor
    if factor.confirmed_at is not None:
        raise FactorThere
    step = totp.matching_step(
        work.vault.open(factor.secret), _digits(code), work.now, after=factor.last_step
    )
    if step is None:
        raise WrongSecondFactor
    factor.last_step, factor.confirmed_at = step, work.now
    made = _new_codes(work, user.id)
    _tell(work, user.id, "second_factor_on")
    work.wake("sessions")
    return made


def renew_codes(work: UnitOfWork, *, code: str) -> list[str]:
    """Void the actor's recovery codes and return others."""
    user = users.lock(work, work.actor.user_id or 0)
    _require(work, user.id, code)
    made = _new_codes(work, user.id)
    _tell(work, user.id, "recovery_codes_new")
    return made


def remove(work: UnitOfWork, *, code: str, is_demanded: bool) -> None:
    """Ask for no second factor any more, where that is the account's own choice."""
    user = users.lock(work, work.actor.user_id or 0)
    if is_demanded:
        raise FactorDemanded
    _require(work, user.id, code)
    _forget(work, user.id, "second_factor_off")


def reset(work: UnitOfWork, *, user_id: int) -> None:
    """Take the second factor from somebody who lost app and codes: for super admins, the shell."""
    user = users.lock(work, user_id)
    if work.session.get(SecondFactor, user.id) is None:
        raise NoFactor
    _forget(work, user.id, "second_factor_reset")


def pass_login(work: UnitOfWork, *, user_id: int, code: str | None) -> None:
    """Pass when the account has no second factor, or the code is one of it; each counts once.

    Who calls this has locked the account.
    """
    factor = work.session.get(SecondFactor, user_id)
    if factor is None or factor.confirmed_at is None:
        return
    if code is None:
        raise SecondFactorNeeded
    _require(work, user_id, code)


def _require(work: UnitOfWork, user_id: int, code: str) -> None:
    """Spend a code of the app or a recovery code; WrongSecondFactor when it is neither."""
    factor = work.session.get(SecondFactor, user_id)
    if factor is None or factor.confirmed_at is None:
        raise NoFactor
    digits = _digits(code)
    if len(digits) == totp.DIGITS and digits.isascii() and digits.isdigit():
        step = totp.matching_step(
            work.vault.open(factor.secret), digits, work.now, after=factor.last_step
        )
        # The condition decides when two come with the same code at once.
        if step is not None and changed(
            work.session,
            update(SecondFactor)
            .where(SecondFactor.user_id == user_id, SecondFactor.last_step < step)
            .values(last_step=step),
        ):
            return
        raise WrongSecondFactor
    for row in work.session.scalars(
        select(RecoveryCode).where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
    ).all():
        if codes.fits(work.vault, PURPOSE, row.id, code, row.code_hash) and changed(
            work.session,
            update(RecoveryCode)
            .where(RecoveryCode.id == row.id, RecoveryCode.used_at.is_(None))
            .values(used_at=work.now),
        ):
            _tell(work, user_id, "recovery_code_used")
            return
    raise WrongSecondFactor


def _new_codes(work: UnitOfWork, user_id: int) -> list[str]:
    work.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    made = [codes.new_letters() for _ in range(RECOVERY_CODES)]
    for code in made:
        row = RecoveryCode(user_id=user_id, code_hash="", created_at=work.now)
        work.session.add(row)
        work.session.flush()
        row.code_hash = codes.digest(work.vault, PURPOSE, row.id, code)
    work.session.flush()
    return made


def _forget(work: UnitOfWork, user_id: int, what: str) -> None:
    work.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    work.session.execute(delete(SecondFactor).where(SecondFactor.user_id == user_id))
    _tell(work, user_id, what)
    work.wake("sessions")


def _tell(work: UnitOfWork, user_id: int, what: str) -> None:
    """Write down what happened to the factor, and mail its owner."""
    user = users.get(work, user_id)
    logs.record(work, action=f"access.{what}", object_type="user", object_id=user_id)
    logs.record_user(work, user_id=user_id, action=what)
    place = places.place_of(work.actor.ip)
    messages.mail(
        work,
        user.id,
        "security_event",
        params={
            "happened": what,
            "at": work.now,
            "ip": work.actor.ip,
            "place": place.label_zh if user.locale == "zh-CN" else place.label_en,
            "browser": str(browsers.browser_of(work.actor.user_agent)),
        },
    )


def _digits(code: str) -> str:
    return "".join(code.split())
