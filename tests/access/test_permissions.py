"""Roles of admins: what they permit holds on every route, at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from derpman.access import adminroles
from derpman.access.permissions import (
    AREAS,
    PERMISSIONS,
    SPECIAL,
    Undeclared,
    declare,
    permission_of,
)
from derpman.api import every_route
from derpman.kit.http import Rule
from derpman.kit.work import Edge, Role
from tests.conftest import Person

STAFF = Rule(frozenset({Role.ADMIN, Role.SUPER_ADMIN}))


def test_every_route_is_declared_and_every_permission_is_known() -> None:
    declared = declare(every_route())
    assert len(declared) > 100
    used = {one.permission for one in declared if one.permission}
    assert used <= PERMISSIONS.keys()
    assert {name for _, name in SPECIAL} <= PERMISSIONS.keys()
    assert {f"{area}.read" for area in AREAS.values()} <= PERMISSIONS.keys()
    for one in declared:
        if one.rule.roles == STAFF.roles:
            assert one.permission, one


def test_a_route_that_says_nothing_keeps_the_application_from_starting() -> None:
    with pytest.raises(Undeclared, match="nothing says"):
        declare([(frozenset({"GET"}), "/api/user/x", None)])
    with pytest.raises(Undeclared, match="no permission"):
        declare([(frozenset({"GET"}), "/api/elsewhere/x", STAFF)])
    assert permission_of("POST", "/api/server/{server_id}/remove", STAFF) == "servers.remove"
    assert permission_of("POST", "/api/server/add", STAFF) == "servers.write"
    assert permission_of("GET", "/api/logs/system", STAFF) == "logs.read"


HURTS = {
    "/api/server/add",  # a server's keys
    "/api/server/{server_id}/retry",
    "/api/server/{server_id}/remove",
    "/api/server/{server_id}/give_up",
    "/api/finance/plans",  # prices
    "/api/finance/plans/{plan_id}",
    "/api/finance/channels/alipay",  # where money goes
    "/api/finance/channels/wechat",
    "/api/finance/channels/{method}",
    "/api/finance/compensate",
    "/api/finance/orders/{order_id}/refund",
    "/api/finance/entries/{entry_id}/reverse",
    "/api/admin/distributor/classes",
    "/api/admin/distributor/{user_id}/terms",
    "/api/notifications/channels",  # where alerts go
    "/api/notifications/channels/{channel_id}",
    "/api/notifications/channels/{channel_id}/remove",
    "/api/security/roles",  # who may do what
    "/api/security/roles/{role_id:id}",
    "/api/user/{user_id:id}/role",
}


def test_what_hurts_is_asked_only_of_who_has_shown_lately_that_it_is_he() -> None:
    asked = {
        path
        for methods, path, rule in every_route()
        if "POST" in methods and rule and rule.is_fresh
    }
    assert asked >= HURTS


@pytest.fixture
def dora(person: Callable[..., Person]) -> Person:
    return person("dora", Role.ADMIN)


def test_an_admin_may_what_his_role_permits_from_the_next_request_on(
    client: TestClient, root: Person, dora: Person, eve: Person
) -> None:
    def get(path: str) -> Any:
        return client.get(path, headers=dora.headers)

    assert get("/api/logs/system").status_code == 200
    assert client.get("/api/security/my_permissions", headers=dora.headers).json()["is_everything"]
    body = {"name": "客服", "permissions": ["users.read", "serials.read"]}
    assert client.post("/api/security/roles", headers=dora.headers, json=body).status_code == 403
    made = client.post("/api/security/roles", headers=root.headers, json=body).json()["role"]
    path = f"/api/security/users/{dora.id}/admin_role"
    give = {"role_id": made["id"]}
    assert client.post(path, headers=dora.headers, json=give).status_code == 403
    assert client.post(path, headers=root.headers, json=give).status_code == 200
    answer = get("/api/logs/system")
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "auth.no_permission"
    assert answer.json()["error"]["params"] == {"permission": "logs.read"}
    assert get("/api/user/list").status_code == 200
    assert get("/api/user/me").status_code == 200
    suspend = f"/api/user/{eve.id}/suspend"
    assert client.post(suspend, headers=dora.headers, json={"reason": "x"}).status_code == 403
    mine = client.get("/api/security/my_permissions", headers=dora.headers).json()
    assert mine["permissions"] == ["monitoring.read", "serials.read", "users.read"]
    more = {**body, "permissions": ["logs.read"]}
    changed = f"/api/security/roles/{made['id']}"
    assert client.post(changed, headers=root.headers, json=more).status_code == 200
    assert get("/api/logs/system").status_code == 200
    assert get("/api/user/list").status_code == 403
    answer = client.post(f"{changed}/remove", headers=root.headers)
    assert answer.json()["error"]["code"] == "access.role_used"
    assert client.post(path, headers=root.headers, json={"role_id": None}).status_code == 200
    assert get("/api/user/list").status_code == 200
    assert client.post(f"{changed}/remove", headers=root.headers).status_code == 200


def test_roles_are_for_admins_and_of_known_permissions(
    client: TestClient, root: Person, eve: Person, edge: Edge
) -> None:
    body = {"name": "a", "permissions": ["users.everything"]}
    answer = client.post("/api/security/roles", headers=root.headers, json=body)
    assert answer.json()["error"]["code"] == "access.unknown_permission"
    role = edge(adminroles.save, name="a", permissions=["users.read"])
    answer = client.post(
        f"/api/security/users/{eve.id}/admin_role", headers=root.headers, json={"role_id": role.id}
    )
    assert answer.json()["error"]["code"] == "access.not_an_admin"
    answer = client.post(
        "/api/security/roles", headers=root.headers, json={"name": "a", "permissions": []}
    )
    assert answer.json()["error"]["code"] == "access.role_taken"
    listed = client.get("/api/security/roles", headers=root.headers).json()["roles"]
    assert [(one["name"], one["user_ids"]) for one in listed] == [("a", [])]
