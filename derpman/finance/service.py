"""Verbs on plans."""

from __future__ import annotations

from typing import Any, TypedDict, Unpack

from sqlalchemy import select

from derpman.finance.errors import (
    NoSuchPlan,
    PlanChanged,
    PlanNameTaken,
    PlanNotFound,
    PlanRetired,
)
from derpman.finance.models import OverQuota, Plan, PlanPrice
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs

GIGABYTE = 1_000_000_000
MEGABIT_PER_SECOND = 125_000


class PlanTerms(TypedDict, total=False):
    """What a plan promises and costs; bytes, bytes per second, fen."""

    name: str
    duration_days: int
    price_fen: int
    traffic_bytes: int
    rate_bytes_per_second: int
    device_limit: int
    over_quota: OverQuota
    throttle_bytes_per_second: int


def _days(days: int, *, price_fen: int, traffic_gigabytes: int, devices: int) -> PlanTerms:
    return PlanTerms(
        name=f"{days} 天 / {days} days",
        duration_days=days,
        price_fen=price_fen,
        traffic_bytes=traffic_gigabytes * GIGABYTE,
        rate_bytes_per_second=20 * MEGABIT_PER_SECOND,
        device_limit=devices,
        over_quota=OverQuota.THROTTLE if days >= 30 else OverQuota.STOP,
        throttle_bytes_per_second=MEGABIT_PER_SECOND,
    )


FIRST_PLANS = (
    _days(3, price_fen=600, traffic_gigabytes=20, devices=5),
    _days(5, price_fen=900, traffic_gigabytes=30, devices=5),
    _days(30, price_fen=3900, traffic_gigabytes=200, devices=10),
    _days(180, price_fen=19900, traffic_gigabytes=200, devices=10),
    _days(360, price_fen=35900, traffic_gigabytes=200, devices=15),
)


def seed_plans(work: UnitOfWork) -> None:
    """Give a new installation its plans; one that has plans keeps them as its admins left them."""
    if work.session.scalar(select(Plan.id).limit(1)) is None:
        for terms in FIRST_PLANS:
            _add(work, terms)


def plan(work: UnitOfWork, plan_id: int) -> Plan:
    """Return a plan, retired or not: what was sold under it goes on."""
    found = work.session.get(Plan, plan_id)
    if found is None:
        raise PlanNotFound(plan_id=plan_id)
    return found


def plan_on_sale(work: UnitOfWork, plan_id: int) -> Plan:
    """Return a plan that may still be sold."""
    found = plan(work, plan_id)
    if found.retired_at is not None:
        raise PlanRetired(name=found.name)
    return found


def plan_of_days(work: UnitOfWork, days: int) -> Plan:
    """Return the plan of that length; of several on sale, the one that has been there longest."""
    found = work.session.scalar(
        select(Plan)
        .where(Plan.duration_days == days, Plan.retired_at.is_(None))
        .order_by(Plan.id)
        .limit(1)
    )
    if found is None:
        raise NoSuchPlan(days=days)
    return found


def plans(work: UnitOfWork) -> list[Plan]:
    """Return the plans on sale; staff see the retired ones too."""
    wanted = select(Plan).order_by(Plan.duration_days, Plan.id)
    if not work.actor.is_staff:
        wanted = wanted.where(Plan.retired_at.is_(None))
    return list(work.session.scalars(wanted))


def add_plan(work: UnitOfWork, **terms: Unpack[PlanTerms]) -> Plan:
    """Put another plan on sale."""
    _refuse_taken_name(work, terms, besides=None)
    added = _add(work, terms)
    logs.record(
        work, action="plan.add", object_type="plan", object_id=added.id, after=_loggable(terms)
    )
    return added


def update_plan(
    work: UnitOfWork,
    *,
    plan_id: int,
    version: int,
    is_retired: bool | None = None,
    **terms: Unpack[PlanTerms],
) -> Plan:
    """Change the terms given; `version` is the one shown. Rentals keep their own copy."""
    changed = plan(work, plan_id)
    if changed.version != version:
        raise PlanChanged
    _refuse_taken_name(work, terms, besides=plan_id)
    before = {name: getattr(changed, name) for name in terms}
    after = _loggable(terms)
    for name, value in terms.items():
        setattr(changed, name, value)
    if before.get("price_fen", changed.price_fen) != changed.price_fen:
        _note_price(work, changed)
    if is_retired is not None and is_retired != (changed.retired_at is not None):
        before["retired"], after["retired"] = not is_retired, is_retired
        changed.retired_at = work.now if is_retired else None
    work.session.flush()
    logs.record(
        work,
        action="plan.update",
        object_type="plan",
        object_id=plan_id,
        before=before,
        after=after,
    )
    return changed


def prices(work: UnitOfWork, *, plan_id: int) -> list[PlanPrice]:
    """Return what a plan cost, the newest price first."""
    plan(work, plan_id)
    found = select(PlanPrice).where(PlanPrice.plan_id == plan_id).order_by(PlanPrice.id.desc())
    return list(work.session.scalars(found))


def _add(work: UnitOfWork, terms: PlanTerms) -> Plan:
    added = Plan(created_at=work.now, **terms)
    work.session.add(added)
    work.session.flush()
    _note_price(work, added)
    return added


def _note_price(work: UnitOfWork, priced: Plan) -> None:
    work.session.add(
        PlanPrice(
            plan_id=priced.id,
            price_fen=priced.price_fen,
            actor_id=work.actor.user_id,
            created_at=work.now,
        )
    )


def _refuse_taken_name(work: UnitOfWork, terms: PlanTerms, *, besides: int | None) -> None:
    name = terms.get("name")
    if name is None:
        return
    holder = work.session.scalar(select(Plan.id).where(Plan.name == name))
    if holder is not None and holder != besides:
        raise PlanNameTaken(name=name)


def _loggable(terms: PlanTerms) -> dict[str, Any]:
    return dict(terms)
