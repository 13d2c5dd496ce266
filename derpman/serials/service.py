"""Verbs on serials: generate, redeem once, revoke, expire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import insert, select, update

from derpman.finance import service as finance
from derpman.finance.models import Order, Plan
from derpman.kit.db import changed
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.serials import codes
from derpman.serials.errors import (
    PlanAmbiguous,
    SerialExpired,
    SerialMistyped,
    SerialNotFound,
    SerialRevoked,
    SerialUsed,
    SerialUsedByYou,
)
from derpman.serials.models import Serial
from derpman.serials.states import TRANSITIONS, SerialStatus
from derpman.users import service as users

VALIDITY = timedelta(days=30)
MAX_COUNT = 10_000
ROWS_PER_STATEMENT = 1000


def generate(
    work: UnitOfWork,
    *,
    duration_days: int | None = None,
    plan_id: int | None = None,
    count: int = 1,
    note: str | None = None,
) -> list[Serial]:
    """Make unused serials of a plan, valid for 30 days; `duration_days` alone names the plan."""
    return _make(work, _plan(work, duration_days, plan_id), count, note)


def generate_for(work: UnitOfWork, *, order: Order, note: str | None = None) -> list[Serial]:
    """Make the serials that a distributor bought, also of a plan that was retired since."""
    plan = finance.plan(work, order.plan_id or 0)
    return _make(work, plan, order.quantity, note, order)


def _make(
    work: UnitOfWork, plan: Plan, count: int, note: str | None, order: Order | None = None
) -> list[Serial]:
    made = [codes.generate() for _ in range(count)]
    common: dict[str, Any] = {
        "duration_days": plan.duration_days if order is None else order.duration_days,
        "plan_id": plan.id,
        "status": SerialStatus.UNUSED,
        "note": note,
        "order_id": None if order is None else order.id,
        "distributor_id": None if order is None else order.distributor_id,
        "created_by": work.actor.user_id,
        "created_at": work.now,
        "expires_at": work.now + VALIDITY,
        "version": 1,
    }
    serials: list[Serial] = []
    for start in range(0, count, ROWS_PER_STATEMENT):
        some = made[start : start + ROWS_PER_STATEMENT]
        work.session.execute(insert(Serial), [{"code": code, **common} for code in some])
        serials += work.session.scalars(
            select(Serial).where(Serial.code.in_(some)).order_by(Serial.id)
        )
    logs.record(
        work,
        action="serial.generate",
        object_type="serial",
        object_id=serials[0].id if count == 1 else None,
        after={
            "plan": plan.name,
            "count": count,
            "ids": [serials[0].id, serials[-1].id],
            "order": None if order is None else order.number,
        },
    )
    return serials


def revoke_of_order(work: UnitOfWork, *, order_id: int, reason: str) -> list[int]:
    """Make what is unused of a purchase worthless, because it was paid back; return the ids."""
    ids = work.session.scalars(
        select(Serial.id).where(Serial.order_id == order_id, Serial.status == SerialStatus.UNUSED)
    ).all()
    return revoke_many(work, ids=ids, reason=reason)[0] if ids else []


def _plan(work: UnitOfWork, duration_days: int | None, plan_id: int | None) -> Plan:
    if plan_id is None:
        if duration_days is None:
            raise PlanAmbiguous
        return finance.plan_of_days(work, duration_days)
    plan = finance.plan_on_sale(work, plan_id)
    if duration_days not in (None, plan.duration_days):
        raise PlanAmbiguous
    return plan


def look_up(work: UnitOfWork, *, code: str, user_id: int) -> Serial:
    """Return the serial that this user may redeem; locks nothing. Says exactly why he may not."""
    parsed = codes.parse(code)
    if parsed is None:
        raise SerialMistyped
    serial = work.session.scalar(select(Serial).where(Serial.code == parsed))
    if serial is None:
        raise SerialNotFound
    _refuse_unless_unused(work, serial, user_id)
    return serial


def spend(work: UnitOfWork, *, serial: Serial, user_id: int) -> Serial:
    """Mark a serial as used by this user, if nobody was faster."""
    spent = changed(
        work.session,
        update(Serial)
        .where(
            Serial.id == serial.id,
            Serial.status == SerialStatus.UNUSED,
            Serial.expires_at > work.now,
        )
        .values(
            status=next_state(TRANSITIONS, SerialStatus.UNUSED, "redeem"),
            user_id=user_id,
            used_at=work.now,
            version=Serial.version + 1,
        )
        .execution_options(synchronize_session=False),
    )
    work.session.refresh(serial)
    if not spent:
        _refuse_unless_unused(work, serial, user_id)
    elif serial.distributor_id is not None:
        users.join_distributor(work, user_id=user_id, distributor_id=serial.distributor_id)
    return serial


def redeem(work: UnitOfWork, *, code: str, user_id: int) -> Serial:
    """Spend a serial once; of many at the same instant exactly one succeeds."""
    return spend(work, serial=look_up(work, code=code, user_id=user_id), user_id=user_id)


def _refuse_unless_unused(work: UnitOfWork, serial: Serial, user_id: int) -> None:
    if serial.status is SerialStatus.USED:
        if serial.user_id == user_id and serial.used_at is not None:
            raise SerialUsedByYou(used_at=serial.used_at.isoformat())
        raise SerialUsed
    if serial.status is SerialStatus.REVOKED:
        raise SerialRevoked
    if serial.status is SerialStatus.EXPIRED or serial.expires_at <= work.now:
        raise SerialExpired(expires_at=serial.expires_at.isoformat())


def get(work: UnitOfWork, serial_id: int) -> Serial:
    """Return one serial."""
    serial = work.session.get(Serial, serial_id)
    if serial is None:
        raise SerialNotFound
    return serial


def revoke(work: UnitOfWork, *, serial_id: int, reason: str) -> Serial:
    """Make an unused serial worthless."""
    serial = get(work, serial_id)
    before = serial.status
    serial.status = next_state(TRANSITIONS, serial.status, "revoke")
    logs.record(
        work,
        action="serial.revoke",
        object_type="serial",
        object_id=serial_id,
        before={"status": before},
        after={"status": serial.status, "reason": reason},
    )
    return serial


def revoke_many(
    work: UnitOfWork, *, ids: Sequence[int], reason: str
) -> tuple[list[int], list[int]]:
    """Make unused serials worthless; return the ids that were, and those that could not be."""
    wanted = sorted(set(ids))
    unused = list(
        work.session.scalars(
            select(Serial.id)
            .where(Serial.id.in_(wanted), Serial.status == SerialStatus.UNUSED)
            .order_by(Serial.id)
            .with_for_update()
        )
    )
    if unused:
        work.session.execute(
            update(Serial)
            .where(Serial.id.in_(unused), Serial.status == SerialStatus.UNUSED)
            .values(
                status=next_state(TRANSITIONS, SerialStatus.UNUSED, "revoke"),
                version=Serial.version + 1,
            )
            .execution_options(synchronize_session=False)
        )
        logs.record(
            work,
            action="serial.revoke",
            object_type="serial",
            after={"ids": unused, "count": len(unused), "reason": reason},
        )
    return unused, sorted(set(wanted) - set(unused))


def expire_unused(work: UnitOfWork, *, limit: int = ROWS_PER_STATEMENT) -> int:
    """Expire up to `limit` serials whose 30 days are over; return how many."""
    due = work.session.scalars(
        select(Serial.id)
        .where(Serial.status == SerialStatus.UNUSED, Serial.expires_at <= work.now)
        .order_by(Serial.expires_at)
        .limit(limit)
    ).all()
    if not due:
        return 0
    work.session.execute(
        update(Serial)
        .where(Serial.id.in_(due), Serial.status == SerialStatus.UNUSED)
        .values(
            status=next_state(TRANSITIONS, SerialStatus.UNUSED, "expire"),
            version=Serial.version + 1,
        )
        .execution_options(synchronize_session=False)
    )
    logs.record(work, action="serial.expire", object_type="serial", after={"count": len(due)})
    return len(due)
