"""An admin whose role reaches his own customers sees these, and nobody and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from derpman.access import adminroles
from derpman.access.permissions import PERMISSIONS, Declared, declare
from derpman.access.states import RoleScope
from derpman.api import every_route
from derpman.kit.work import Edge, Role
from derpman.logs.models import SystemLog
from derpman.users import managing
from derpman.users.errors import NotStaff, UserNotFound
from tests.conftest import Person

ABSENT = 999_999_999


@pytest.fixture
def dora(edge: Edge, person: Callable[..., Person]) -> Person:
    """An admin who may everything, about her own customers only."""
    dora = person("dora", Role.ADMIN)
    role = edge(adminroles.save, name="own", permissions=list(PERMISSIONS), scope=RoleScope.OWN)
    edge(adminroles.assign, user_id=dora.id, role_id=role.id)
    return dora


def for_admins() -> list[Declared]:
    return [one for one in declare(every_route()) if Role.ADMIN in one.rule.roles]


def ask(client: TestClient, who: Person, one: Declared, user_id: int) -> tuple[int, str]:
    path = re.sub(r"{[^}]+}", str(user_id), one.path)
    answer = client.request(
        one.method, path, headers=who.headers, json={} if one.method == "POST" else None
    )
    code = answer.json().get("error", {}).get("code", "") if answer.status_code >= 400 else ""
    return answer.status_code, code


def test_what_is_about_no_customer_or_about_all_of_them_is_out_of_reach(
    client: TestClient, dora: Person
):
    tried = 0
    for one in for_admins():
        if not one.is_within_own:
            assert ask(client, dora, one, 1) == (403, "auth.out_of_scope"), one
            tried += 1
    assert tried > 100


def test_another_customer_is_as_if_he_were_not_there(
    client: TestClient, edge: Edge, dora: Person, eve: Person, carl: Person
):
    edge(managing.give, user_ids=[carl.id], manager_id=dora.id)
    about_one = [one for one in for_admins() if one.is_within_own and "{user_id" in one.path]
    assert len(about_one) >= 12
    for one in about_one:
        foreign, absent = (ask(client, dora, one, who) for who in (eve.id, ABSENT))
        assert foreign == absent == (404, "users.not_found"), one
        assert ask(client, dora, one, carl.id)[0] not in (401, 403, 404), one


def test_the_list_holds_those_she_looks_after_whatever_she_asks_for(
    client: TestClient, edge: Edge, root: Person, dora: Person, eve: Person, carl: Person
):
    def names(who: Person, query: str = "") -> set[str]:
        answer = client.get(f"/api/user/list{query}", headers=who.headers).json()
        return {one["username"] for one in answer["users"]}

    assert names(dora) == set()
    body: dict[str, Any] = {"user_ids": [carl.id], "manager_id": dora.id}
    assert client.post("/api/user/manager", headers=dora.headers, json=body).status_code == 403
    answer = client.post("/api/user/manager", headers=root.headers, json=body)
    assert answer.json()["changed"] == 1
    assert names(dora) == {"carl"}
    assert names(dora, f"?manager_id={root.id}") == {"carl"}
    assert names(dora, "?search=eve") == set()
    assert names(root) >= {"carl", "eve", "dora"}
    assert names(root, f"?manager_id={dora.id}") == {"carl"}
    mine = client.get("/api/security/my_permissions", headers=dora.headers).json()
    assert mine["has_own_only"]
    assert client.get("/api/user/me", headers=dora.headers).status_code == 200
    client.post("/api/user/manager", headers=root.headers, json={**body, "manager_id": None})
    assert names(dora) == set()


def test_customers_are_given_to_admins_all_or_none_and_it_is_written_down(
    edge: Edge, dora: Person, eve: Person, carl: Person
):
    with pytest.raises(NotStaff):
        edge(managing.give, user_ids=[carl.id], manager_id=eve.id)
    with pytest.raises(UserNotFound):
        edge(managing.give, user_ids=[carl.id, ABSENT], manager_id=dora.id)
    assert edge(managing.give, user_ids=[carl.id, eve.id, carl.id], manager_id=dora.id) == 2
    assert edge(managing.give, user_ids=[carl.id, eve.id], manager_id=dora.id) == 0

    def written(work: Any) -> list[int]:
        found = work.session.query(SystemLog).filter_by(action="user.manager").all()
        return sorted(int(one.object_id) for one in found)

    assert edge.read(written) == sorted([carl.id, eve.id])
