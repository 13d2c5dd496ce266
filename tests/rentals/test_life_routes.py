from __future__ import annotations

from datetime import timedelta

from starlette.testclient import TestClient

from derpman.kit.work import Edge
from derpman.rentals import service
from tests.conftest import PASSWORD, MovableClock, Person
from tests.rentals.conftest import Activate, NewCode


def code_of(answer) -> str:
    return answer.json()["error"]["code"]


def test_customer_renews_and_sees_what_was_bought(
    client: TestClient, servers: list[int], carl: Person, activate: Activate, new_code: NewCode
):
    rental = activate(carl)
    body = {"code": new_code(5)}
    renewed = client.post("/api/user/renew", json=body, headers=carl.headers)
    assert renewed.status_code == 200, renewed.text
    shown = renewed.json()["rental"]
    assert (shown["days"], shown["change"]["device_limit"]) == (35, 5)
    [listed] = client.get("/api/user/rentals", headers=carl.headers).json()["rentals"]
    assert [term["serial_id"] is not None for term in listed["terms"]] == [True, True]
    assert listed["terms"][1]["starts_at"].startswith(f"{rental.expires_at:%Y-%m-%dT%H:%M:%S}")
    again = client.post("/api/user/renew", json=body, headers=carl.headers)
    assert (again.status_code, code_of(again)) == (409, "serial.used_by_you")


def test_page_says_until_when_the_same_relays_come_back(
    client: TestClient, edge: Edge, servers: list[int], carl: Person, activate: Activate
):
    edge(service.end, rental_id=activate(carl).id, reason="test")
    page = client.get("/api/user/rental", headers=carl.headers).json()
    assert page["rental"] is None
    life = page["life"]
    assert life["is_renewable"] is True
    assert life["same_relays_until"].startswith("2026-03-08")
    assert life["deregister_at"].startswith("2026-03-31")


def test_admin_renews_to_a_date_marks_and_lifts(
    client: TestClient,
    servers: list[int],
    clock: MovableClock,
    root: Person,
    carl: Person,
    activate: Activate,
    new_code: NewCode,
):
    activate(carl)
    until = (clock.now + timedelta(days=50)).isoformat()
    to = f"/api/user/{carl.id}"
    renewed = client.post(
        f"{to}/renew_to", json={"until": until, "reason": "outage"}, headers=root.headers
    )
    assert renewed.status_code == 200, renewed.text
    assert renewed.json()["rental"]["days"] == 50
    mark = {"reason": "abuse", "at_once": False}
    assert client.post(f"{to}/no_renewal", json=mark, headers=root.headers).status_code == 200
    refused = client.post("/api/user/renew", json={"code": new_code()}, headers=carl.headers)
    assert (refused.status_code, code_of(refused)) == (409, "users.not_renewable")
    assert client.get(f"{to}/rental", headers=root.headers).json()["life"]["is_renewable"] is False
    assert client.post(f"{to}/renewal_allowed", headers=root.headers).status_code == 200
    renewed = client.post("/api/user/renew", json={"code": new_code()}, headers=carl.headers)
    assert renewed.status_code == 200


def test_customer_closes_his_account_with_his_password(
    client: TestClient, servers: list[int], carl: Person, activate: Activate
):
    activate(carl)
    state = client.get("/api/user/deregistration", headers=carl.headers).json()
    assert [one["code"] for one in state["matters"]] == ["rental_runs"]
    close = "/api/user/deregister"
    wrong = client.post(
        close, json={"password": "not it", "give_up_rental": True}, headers=carl.headers
    )
    assert wrong.status_code in (401, 403, 422)
    open_ = client.post(close, json={"password": PASSWORD}, headers=carl.headers)
    assert (open_.status_code, code_of(open_)) == (409, "rentals.open_matters")
    done = client.post(
        close, json={"password": PASSWORD, "give_up_rental": True}, headers=carl.headers
    )
    assert done.status_code == 200, done.text
    assert done.json()["status"] == "closing"
    assert len(done.json()["waiting_for"]) == 3
    shown = client.get("/api/user/deregistration", headers=carl.headers)
    assert shown.json()["status"] == "closing"
    me = client.get("/api/user/me", headers=carl.headers).json()["user"]
    assert me["status"] == "closing"
    refused = client.post("/api/user/renew", json={"code": "x"}, headers=carl.headers)
    assert (refused.status_code, code_of(refused)) == (403, "users.deregistered")


def test_strangers_and_customers_decide_nothing_about_others(
    client: TestClient, carl: Person, eve: Person
):
    to = f"/api/user/{carl.id}"
    for path in ("renew_to", "no_renewal", "renewal_allowed"):
        assert client.post(f"{to}/{path}", json={}, headers=eve.headers).status_code == 403
        assert client.post(f"{to}/{path}", json={}).status_code == 401
    for path in ("rental", "rentals", "deregistration"):
        assert client.get(f"{to}/{path}", headers=eve.headers).status_code == 403
    for path in ("rentals", "deregistration"):
        assert client.get(f"/api/user/{path}").status_code == 401
