"""Verbs on classes, their rates, and what a distributor may: nothing here alters the past."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from derpman.distribution.errors import NotADistributor, TermsChanged
from derpman.distribution.models import ClassRate, Commission, DistributorTerms
from derpman.distribution.states import Level
from derpman.kit.types import MAX_ID
from derpman.kit.work import Role, UnitOfWork
from derpman.logs import service as logs
from derpman.users import service as users
from derpman.users.models import User

FIRST_RATES = {Level.GOLD: 1000, Level.WHITE_GOLD: 1500, Level.PLATINUM: 2000}
"""In hundredths of a percent, until the super admin sets others."""


@dataclass(frozen=True)
class Terms:
    """What a distributor is and may; `version` names the state that was shown."""

    level: Level = Level.GOLD
    may_generate: bool = False
    credit_limit_fen: int = 0
    version: int = 0


def distributor(work: UnitOfWork, user_id: int) -> User:
    """Return a distributor; NotADistributor for anybody else."""
    user = work.session.get(User, user_id) if 0 < user_id <= MAX_ID else None
    if user is None or user.role is not Role.DISTRIBUTOR:
        raise NotADistributor
    return user


def ever_distributor(work: UnitOfWork, user_id: int) -> User:
    """Return a distributor, or who was one and left terms or commissions; else NotADistributor."""
    user = work.session.get(User, user_id) if 0 < user_id <= MAX_ID else None
    if user is None:
        raise NotADistributor
    if user.role is Role.DISTRIBUTOR:
        return user
    for trace in (DistributorTerms, Commission):
        if work.session.scalar(select(trace.id).where(trace.user_id == user_id).limit(1)):
            return user
    raise NotADistributor


def of(work: UnitOfWork, *, user_id: int, at: datetime | None = None) -> Terms:
    """Return a distributor's terms, now or at an instant; gold when nobody set any."""
    found = select(DistributorTerms).where(DistributorTerms.user_id == user_id)
    if at is not None:
        found = found.where(DistributorTerms.created_at <= at)
    row = work.session.scalars(found.order_by(DistributorTerms.id.desc()).limit(1)).one_or_none()
    return Terms() if row is None else _terms(row)


def of_many(work: UnitOfWork, *, user_ids: Iterable[int]) -> dict[int, Terms]:
    """Return the terms of those of whom any were set, in one statement."""
    newest = (
        select(func.max(DistributorTerms.id))
        .where(DistributorTerms.user_id.in_(set(user_ids)))
        .group_by(DistributorTerms.user_id)
    )
    rows = work.session.scalars(select(DistributorTerms).where(DistributorTerms.id.in_(newest)))
    return {row.user_id: _terms(row) for row in rows}


def _terms(row: DistributorTerms) -> Terms:
    return Terms(row.level, row.may_generate, row.credit_limit_fen, row.id)


def history(work: UnitOfWork, *, user_id: int, limit: int = 100) -> list[DistributorTerms]:
    """Return what a distributor was, the newest first."""
    found = select(DistributorTerms).where(DistributorTerms.user_id == user_id)
    return list(work.session.scalars(found.order_by(DistributorTerms.id.desc()).limit(limit)))


def set_terms(
    work: UnitOfWork,
    *,
    user_id: int,
    level: Level,
    may_generate: bool,
    credit_limit_fen: int,
    version: int,
) -> Terms:
    """Give a distributor other terms from now on; TermsChanged when others were shown."""
    users.lock(work, distributor(work, user_id).id)
    before = of(work, user_id=user_id)
    if before.version != version:
        raise TermsChanged
    row = DistributorTerms(
        user_id=user_id,
        level=level,
        may_generate=may_generate,
        credit_limit_fen=credit_limit_fen,
        actor_id=work.actor.user_id,
        created_at=work.now,
    )
    work.session.add(row)
    work.session.flush()
    after = _terms(row)
    logs.record(
        work,
        action="distributor.terms",
        object_type="user",
        object_id=user_id,
        before=_loggable(before),
        after=_loggable(after),
    )
    return after


def _loggable(terms: Terms) -> dict[str, object]:
    return {
        "level": terms.level,
        "may_generate": terms.may_generate,
        "credit_limit_fen": terms.credit_limit_fen,
    }


def rates(work: UnitOfWork, *, at: datetime | None = None) -> dict[Level, int]:
    """Return every class's rate in hundredths of a percent, now or at an instant."""
    found = select(func.max(ClassRate.id)).group_by(ClassRate.level)
    if at is not None:
        found = found.where(ClassRate.created_at <= at)
    rows = work.session.scalars(select(ClassRate).where(ClassRate.id.in_(found)))
    return FIRST_RATES | {row.level: row.rate_bp for row in rows}


def rate_of(work: UnitOfWork, *, user_id: int, at: datetime | None = None) -> int:
    """Return a distributor's rate, now or at an instant."""
    return rates(work, at=at)[of(work, user_id=user_id, at=at).level]


def rate_history(work: UnitOfWork, *, limit: int = 100) -> list[ClassRate]:
    """Return what classes were worth, the newest first."""
    return list(work.session.scalars(select(ClassRate).order_by(ClassRate.id.desc()).limit(limit)))


def set_rate(work: UnitOfWork, *, level: Level, rate_bp: int) -> None:
    """Make a class worth something else from now on."""
    before = rates(work)[level]
    if rate_bp == before:
        return
    work.session.add(
        ClassRate(level=level, rate_bp=rate_bp, actor_id=work.actor.user_id, created_at=work.now)
    )
    work.session.flush()
    logs.record(
        work,
        action="distributor.rate",
        object_type="class",
        before={"level": level, "rate_bp": before},
        after={"level": level, "rate_bp": rate_bp},
    )
