from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from derpman.finance import service
from derpman.finance.errors import PlanChanged, PlanNameTaken
from derpman.finance.models import OverQuota
from derpman.kit.work import Edge
from tests.conftest import Person

NEW = {
    "name": "7 days",
    "duration_days": 7,
    "price_fen": 1299,
    "traffic_bytes": 50_000_000_000,
    "device_limit": 5,
}


def test_five_plans_exist_from_the_start(edge: Edge):
    plans = edge.read(service.plans)
    assert [plan.duration_days for plan in plans] == [3, 5, 30, 180, 360]
    assert all(plan.price_fen > 0 and plan.traffic_bytes > 0 for plan in plans)
    assert {plan.over_quota for plan in plans} == {OverQuota.STOP, OverQuota.THROTTLE}


def test_seeding_again_changes_nothing_that_admins_did(edge: Edge):
    first = edge.read(service.plans)[0]
    edge(service.update_plan, plan_id=first.id, version=1, name="Try it", is_retired=True)
    edge(service.seed_plans)
    plans = edge.read(service.plans)
    assert len(plans) == 5
    assert plans[0].name == "Try it"
    assert plans[0].retired_at is not None


def test_of_two_admins_the_second_is_told(edge: Edge):
    plan = edge.read(service.plan_of_days, 30)
    edge(service.update_plan, plan_id=plan.id, version=plan.version, price_fen=1)
    with pytest.raises(PlanChanged):
        edge(service.update_plan, plan_id=plan.id, version=plan.version, price_fen=2)
    assert edge.read(service.plan, plan.id).price_fen == 1


def test_names_are_unique(edge: Edge):
    plan = edge.read(service.plan_of_days, 30)
    other = edge.read(service.plan_of_days, 3)
    with pytest.raises(PlanNameTaken):
        edge(service.update_plan, plan_id=other.id, version=1, name=plan.name)
    edge(service.update_plan, plan_id=plan.id, version=1, name=plan.name, device_limit=3)


def test_visitors_see_plans_on_sale_with_prices_in_yuan(client: TestClient, root: Person):
    answer = client.get("/api/finance/plans")
    assert answer.status_code == 200
    plan = answer.json()["plans"][0]
    assert (plan["price_fen"], plan["price"]) == (600, "6.00")
    url = f"/api/finance/plans/{plan['id']}"
    client.post(url, json={"version": 1, "is_retired": True}, headers=root.headers)
    assert len(client.get("/api/finance/plans").json()["plans"]) == 4
    assert len(client.get("/api/finance/plans", headers=root.headers).json()["plans"]) == 5


def test_admin_adds_and_changes_plans(client: TestClient, root: Person):
    answer = client.post("/api/finance/plans", json=NEW, headers=root.headers)
    assert answer.status_code == 200, answer.text
    plan = answer.json()["plan"]
    assert (plan["price"], plan["over_quota"]) == ("12.99", "stop")
    again = client.post("/api/finance/plans", json=NEW, headers=root.headers)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "finance.plan_name_taken")
    url = f"/api/finance/plans/{plan['id']}"
    changed = client.post(
        url, json={"version": plan["version"], "price_fen": 999}, headers=root.headers
    )
    assert changed.json()["plan"]["price_fen"] == 999
    stale = client.post(
        url, json={"version": plan["version"], "price_fen": 1}, headers=root.headers
    )
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "finance.plan_changed")


@pytest.mark.parametrize(
    "change",
    [
        {"price_fen": -1},
        {"price_fen": 1.5},
        {"duration_days": 0},
        {"traffic_bytes": 10**30},
        {"device_limit": 0},
        {"over_quota": "maybe"},
        {"name": ""},
        {"name": "x" * 65},
        {"colour": "red"},
    ],
)
def test_nonsense_is_refused(client: TestClient, root: Person, change: dict[str, object]):
    answer = client.post("/api/finance/plans", json={**NEW, **change}, headers=root.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "request.invalid")
