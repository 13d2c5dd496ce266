from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from derpman.finance import service as finance
from derpman.finance.errors import NoSuchPlan, PlanNotFound, PlanRetired
from derpman.kit.states import IllegalTransition
from derpman.kit.work import Edge
from derpman.logs.models import SystemLog
from derpman.serials import codes, service
from derpman.serials.errors import (
    PlanAmbiguous,
    SerialExpired,
    SerialMistyped,
    SerialNotFound,
    SerialRevoked,
)
from derpman.serials.models import Serial
from derpman.serials.states import SerialStatus
from tests.conftest import MovableClock, Person


def rows(edge: Edge, statement: Any) -> list:
    return edge.read(lambda work: list(work.session.scalars(statement)))


def test_length_alone_names_the_plan(edge: Edge, clock: MovableClock):
    [serial] = edge(service.generate, duration_days=30)
    assert serial.plan_id == edge.read(finance.plan_of_days, 30).id
    assert (serial.duration_days, serial.status) == (30, SerialStatus.UNUSED)
    assert serial.expires_at == clock.now + timedelta(days=30)
    assert codes.parse(serial.code) == serial.code


def test_plan_and_length_must_agree(edge: Edge):
    plan = edge.read(finance.plan_of_days, 180)
    [serial] = edge(service.generate, plan_id=plan.id, duration_days=180, note="for Ann")
    assert (serial.plan_id, serial.note) == (plan.id, "for Ann")
    refused: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"plan_id": plan.id, "duration_days": 30}, PlanAmbiguous),
        ({}, PlanAmbiguous),
        ({"duration_days": 31}, NoSuchPlan),
        ({"plan_id": 999}, PlanNotFound),
    ]
    for arguments, error in refused:
        with pytest.raises(error):
            edge(service.generate, **arguments)


def test_retired_plan_sells_no_more(edge: Edge):
    plan = edge.read(finance.plan_of_days, 3)
    edge(finance.update_plan, plan_id=plan.id, version=plan.version, is_retired=True)
    with pytest.raises(PlanRetired):
        edge(service.generate, plan_id=plan.id)
    with pytest.raises(NoSuchPlan):
        edge(service.generate, duration_days=3)


def test_many_are_made_with_few_statements_and_no_code_reaches_the_log(
    statements: list[str], edge: Edge, edge_of: Callable[..., Edge], root: Person
):
    statements.clear()
    made = edge_of(root.actor)(service.generate, duration_days=5, count=2500)
    assert len(statements) <= 10
    assert len({serial.code for serial in made}) == 2500
    assert {serial.created_by for serial in made} == {root.id}
    [logged] = rows(edge, select(SystemLog.after).where(SystemLog.action == "serial.generate"))
    assert not any(serial.code in logged for serial in made)


def test_unknown_code_is_told_from_a_mistyped_one(edge: Edge, carl: Person):
    [serial] = edge(service.generate, duration_days=30)
    mistyped = ("3" if serial.code[0] == "2" else "2") + serial.code[1:]
    for code, error in [(mistyped, SerialMistyped), (codes.generate(), SerialNotFound)]:
        with pytest.raises(error):
            edge(service.redeem, code=code, user_id=carl.id)
    spent = edge(service.redeem, code=serial.code, user_id=carl.id)
    assert (spent.status, spent.user_id) == (SerialStatus.USED, carl.id)


def test_revoked_serial_is_worthless(edge: Edge, carl: Person):
    [serial] = edge(service.generate, duration_days=30)
    edge(service.revoke, serial_id=serial.id, reason="lost")
    with pytest.raises(SerialRevoked):
        edge(service.redeem, code=serial.code, user_id=carl.id)
    with pytest.raises(IllegalTransition):
        edge(service.revoke, serial_id=serial.id, reason="again")


def test_used_serial_cannot_be_revoked(edge: Edge, carl: Person):
    [serial] = edge(service.generate, duration_days=30)
    edge(service.redeem, code=serial.code, user_id=carl.id)
    with pytest.raises(IllegalTransition):
        edge(service.revoke, serial_id=serial.id, reason="late")


def test_sweep_expires_only_what_is_due(edge: Edge, clock: MovableClock, carl: Person):
    old = edge(service.generate, duration_days=30, count=5)
    edge(service.redeem, code=old[0].code, user_id=carl.id)
    edge(service.revoke, serial_id=old[1].id, reason="lost")
    clock.advance(days=1)
    edge(service.generate, duration_days=30)
    clock.advance(days=29)
    with pytest.raises(SerialExpired):
        edge(service.redeem, code=old[2].code, user_id=carl.id)
    assert [edge(service.expire_unused, limit=2) for _ in range(3)] == [2, 1, 0]
    statuses = rows(edge, select(Serial.status).order_by(Serial.id))
    assert statuses == ["used", "revoked", "expired", "expired", "expired", "unused"]


def test_expired_serial_is_refused_before_and_after_the_sweep(
    edge: Edge, clock: MovableClock, carl: Person
):
    [serial] = edge(service.generate, duration_days=30)
    edge(lambda work: work.session.execute(update(Serial).values(expires_at=clock.now)))
    for _ in range(2):
        with pytest.raises(SerialExpired):
            edge(service.redeem, code=serial.code, user_id=carl.id)
        edge(service.expire_unused)
