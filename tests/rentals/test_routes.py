from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import QueuePool, select
from starlette.testclient import TestClient

from derpman.alerts.models import SystemAlert
from derpman.containers import reconcile
from derpman.kit.work import Edge
from derpman.serials.models import Serial
from derpman.wiring import System
from tests.conftest import Person
from tests.rentals.conftest import Activate, NewCode
from tests.system.processes import wait_until


def code_of(answer) -> str:
    return answer.json()["error"]["code"]


def test_customer_activates_and_sees_his_relays_turn_green(
    client: TestClient, edge: Edge, servers: list[int], carl: Person, new_code: NewCode
):
    answer = client.post("/api/user/activate", json={"code": new_code()}, headers=carl.headers)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["success"] is True
    rental = body["rental"]
    assert [slot["slot"] for slot in rental["slots"]] == [1, 2, 3]
    assert [slot["region_id"] for slot in rental["slots"]] == [931, 932, 933]
    assert {slot["region"] for slot in rental["slots"]} == {"region-1", "region-2", "region-3"}
    assert all(slot["address"].startswith("203.0.113.") for slot in rental["slots"])
    assert rental["acl"]["version"] == 1
    assert rental["is_ready"] is False
    assert "PRIVATE" not in answer.text
    assert "mesh" not in answer.text
    for slot in rental["slots"]:
        shot = {
            "whole": True,
            "generation": 1,
            "relays": [{"id": slot["container_id"], "generation": 1, "state": "ready"}],
        }
        edge(reconcile.record_observed, server_id=slot["server_id"], snapshot=shot)
    rental = client.get("/api/user/rental", headers=carl.headers).json()["rental"]
    assert rental["is_ready"] is True
    assert all(slot["is_ready"] for slot in rental["slots"])
    mine = client.get("/api/container/mine", headers=carl.headers).json()["containers"]
    assert [one["container_id"] for one in mine] == [
        slot["container_id"] for slot in rental["slots"]
    ]


def test_nobody_sees_anothers_rental(
    client: TestClient, servers: list[int], carl: Person, eve: Person, activate: Activate
):
    activate(carl)
    answer = client.get("/api/user/rental", headers=eve.headers).json()
    assert answer["rental"] is None
    assert carl.username not in str(answer)
    assert client.get("/api/container/mine", headers=eve.headers).json()["containers"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/user/{carl}/rental/end", {"reason": "r"}),
        ("POST", "/api/user/{carl}/suspend", {"reason": "r"}),
        ("POST", "/api/user/{carl}/reinstate", None),
        ("POST", "/api/container/allocate", {"user_id": 1, "server_id": 1}),
        ("GET", "/api/container/list", None),
        ("POST", "/api/serial/generate", {"duration_days": 30}),
        ("GET", "/api/serial/list", None),
        ("GET", "/api/serial/export", None),
        ("GET", "/api/serial/1", None),
        ("POST", "/api/serial/1/revoke", {"reason": "r"}),
        ("POST", "/api/finance/plans", {}),
        ("POST", "/api/finance/plans/1", {"version": 1}),
    ],
)
def test_only_admins_may(
    client: TestClient, carl: Person, eve: Person, rita: Person, method: str, path: str, body
):
    url = path.format(carl=carl.id)
    assert client.request(method, url, json=body).status_code == 401
    for person in (eve, rita):
        answer = client.request(method, url, json=body, headers=person.headers)
        assert (answer.status_code, code_of(answer)) == (403, "auth.forbidden")


@pytest.mark.parametrize("path", ["/api/user/activate", "/api/user/rental"])
def test_visitors_may_not(client: TestClient, path: str):
    answer = client.request("POST" if "activate" in path else "GET", path, json={"code": "x"})
    assert answer.status_code == 401


def test_serials_are_refused_each_with_its_own_code(
    client: TestClient,
    servers: list[int],
    carl: Person,
    eve: Person,
    activate: Activate,
    new_code: NewCode,
):
    from derpman.serials import codes

    used = new_code()
    activate(carl, used)
    for typed, status, code in [
        ("ABCDE-FGHJK", 422, "serial.mistyped"),
        ("\u200b\u202e\U0001f4a5" * 30, 422, "serial.mistyped"),
        (codes.generate(), 404, "serial.not_found"),
        (used, 409, "serial.used"),
    ]:
        answer = client.post("/api/user/activate", json={"code": typed}, headers=eve.headers)
        assert (answer.status_code, code_of(answer)) == (status, code), typed
    for body in [{}, {"code": ""}, {"code": 5}, {"code": "x" * 300}, {"code": "x", "more": 1}]:
        answer = client.post("/api/user/activate", json=body, headers=eve.headers)
        assert (answer.status_code, code_of(answer)) == (422, "request.invalid")
    answer = client.post("/api/user/activate", json={"code": new_code()}, headers=carl.headers)
    assert (answer.status_code, code_of(answer)) == (409, "rentals.already_active")


def test_too_few_servers_are_a_clear_refusal_and_an_alert_that_stays(
    client: TestClient,
    edge: Edge,
    add_server: Callable[..., int],
    carl: Person,
    new_code: NewCode,
):
    add_server()
    code = new_code()
    for _ in range(2):
        answer = client.post("/api/user/activate", json={"code": code}, headers=carl.headers)
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == "containers.not_enough_servers"
        assert answer.json()["error"]["params"] == {"wanted": 3, "fit": 1}
    alerts = edge.read(lambda work: work.session.scalars(select(SystemAlert)).all())
    assert [(alert.alert_type, alert.count) for alert in alerts] == [("not_enough_servers", 2)]
    assert edge.read(lambda work: work.session.scalars(select(Serial.status)).all()) == ["unused"]


def test_admin_ends_a_rental_with_a_reason(
    client: TestClient, servers: list[int], root: Person, carl: Person, activate: Activate
):
    activate(carl)
    url = f"/api/user/{carl.id}/rental/end"
    assert client.post(url, json={}, headers=root.headers).status_code == 422
    answer = client.post(url, json={"reason": "asked for it"}, headers=root.headers)
    assert answer.status_code == 200, answer.text
    rental = answer.json()["rental"]
    assert (rental["status"], rental["end_reason"], rental["slots"]) == (
        "ended",
        "asked for it",
        [],
    )
    assert rental["acl"] is None
    again = client.post(url, json={"reason": "again"}, headers=root.headers)
    assert (again.status_code, code_of(again)) == (409, "rentals.none_open")
    nobody = client.post("/api/user/999/rental/end", json={"reason": "r"}, headers=root.headers)
    assert (nobody.status_code, code_of(nobody)) == (404, "users.not_found")


def test_suspended_user_is_logged_out_and_reinstated_may_come_back(
    client: TestClient, servers: list[int], root: Person, carl: Person, activate: Activate
):
    activate(carl)
    assert client.get("/api/user/rental", headers=carl.headers).status_code == 200
    answer = client.post(
        f"/api/user/{carl.id}/suspend", json={"reason": "abuse"}, headers=root.headers
    )
    assert answer.json() == {"success": True}
    again = client.post(
        f"/api/user/{carl.id}/suspend", json={"reason": "abuse"}, headers=root.headers
    )
    assert (again.status_code, code_of(again)) == (409, "state.illegal")
    answer = client.post(f"/api/user/{carl.id}/reinstate", headers=root.headers)
    assert answer.json() == {"success": True}


def test_allocate_moves_a_relay_when_no_slot_is_empty(
    client: TestClient,
    servers: list[int],
    add_server: Callable[..., int],
    root: Person,
    carl: Person,
    eve: Person,
    activate: Activate,
):
    activate(carl)
    fourth = add_server()

    def allocate(user_id: int, **more: object):
        body = {"user_id": user_id, "server_id": fourth, **more}
        return client.post("/api/container/allocate", json=body, headers=root.headers)

    answer = allocate(carl.id, slot=2)
    assert answer.status_code == 200, answer.text
    made = answer.json()["container_id"]
    assert allocate(carl.id, slot=2).json()["error"]["code"] == "rentals.already_there"
    assert code_of(allocate(carl.id)) == "containers.already_on_server"
    answer = allocate(eve.id)
    assert (answer.status_code, code_of(answer)) == (409, "rentals.none_open")
    assert allocate(999).status_code == 404
    assert allocate(carl.id, slot=4).status_code == 422
    listed = client.get("/api/container/list", headers=root.headers).json()["containers"]
    assert [(one["container_id"], one["slot"]) for one in listed if one["server_id"] == fourth] == [
        (made, 2)
    ]
    assert len(listed) == 4, "two generations of one slot, until the new map is in use"
    assert {one["username"] for one in listed} == {"carl"}


@pytest.mark.parametrize("path", ["/api/container/list", "/api/container/mine"])
def test_lists_need_few_statements(
    client: TestClient,
    statements: list[str],
    servers: list[int],
    root: Person,
    eve: Person,
    activate: Activate,
    path: str,
):
    activate(root)
    activate(eve)
    statements.clear()
    assert len(client.get(path, headers=root.headers).json()["containers"]) >= 3
    assert len(statements) <= 5


def test_containers_are_listed_by_what_is_wanted_and_what_runs(
    client: TestClient,
    edge: Edge,
    servers: list[int],
    root: Person,
    carl: Person,
    eve: Person,
    activate: Activate,
):
    activate(carl)
    activate(eve)

    def listed(query: str) -> list[dict]:
        answer = client.get(f"/api/container/list?{query}", headers=root.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["containers"]

    first = listed(f"user_id={carl.id}&server_id={servers[0]}")
    assert len(first) == 1
    shot = {
        "whole": False,
        "generation": 2,
        "relays": [{"id": first[0]["container_id"], "generation": 1, "state": "ready"}],
    }
    edge(reconcile.record_observed, server_id=servers[0], snapshot=shot)
    assert [one["is_as_wanted"] for one in listed("is_differing=false")] == [True]
    assert len(listed("is_differing=true")) == 5
    assert len(listed("observed=ready")) == 1
    assert listed("wanted=released") == []
    page = client.get("/api/container/list?limit=4", headers=root.headers).json()
    rest = client.get(
        f"/api/container/list?limit=4&before={page['next_before']}", headers=root.headers
    ).json()
    assert len(page["containers"]) == 4
    assert len(rest["containers"]) == 2
    assert rest["next_before"] is None


def test_rental_streams_as_it_changes(
    system: System, client: TestClient, servers: list[int], carl: Person, activate: Activate
):
    activate(carl)
    with client.stream("GET", "/api/user/rental/events", headers=carl.headers) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        first = next(line for line in stream.iter_lines() if line.startswith("data:"))
    assert '"status":"active"' in first
    # The poller may be reading at this moment; what it reads with is given back before the end.
    pool = system.engine.pool
    assert isinstance(pool, QueuePool)
    wait_until(lambda: pool.checkedout() == 0, 10, "no connection is in use")
