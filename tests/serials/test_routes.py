from __future__ import annotations

import csv
import io

from starlette.testclient import TestClient

from derpman.kit.work import Edge
from derpman.serials import codes, service
from tests.conftest import Person


def generate(client: TestClient, root: Person, **body: object) -> list[str]:
    answer = client.post("/api/serial/generate", json=body, headers=root.headers)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"success", "serial_numbers"}
    return answer.json()["serial_numbers"]


def listed(client: TestClient, root: Person, query: str = "") -> list[dict]:
    answer = client.get(f"/api/serial/list?{query}", headers=root.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["serials"]


def test_owners_route_generates_one_or_many(client: TestClient, root: Person):
    [code] = generate(client, root, duration_days=30)
    assert codes.parse(code) == code
    assert len(set(generate(client, root, duration_days=5, count=20, note="fair"))) == 20


def test_bad_wishes_are_refused(client: TestClient, root: Person):
    for body, status, code in [
        ({"duration_days": 31}, 409, "finance.no_such_plan"),
        ({}, 422, "serial.plan_ambiguous"),
        ({"duration_days": 30, "plan_id": 1}, 422, "serial.plan_ambiguous"),
        ({"plan_id": 2**63 - 1}, 404, "finance.plan_not_found"),
        ({"duration_days": 30, "count": 0}, 422, "request.invalid"),
        ({"duration_days": 30, "count": 10_001}, 422, "request.invalid"),
        ({"duration_days": "30 days"}, 422, "request.invalid"),
        ({"duration_days": 30, "days": 5}, 422, "request.invalid"),
        ({"duration_days": 30, "note": "a\x00b"}, 422, "request.invalid"),
    ]:
        answer = client.post("/api/serial/generate", json=body, headers=root.headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), body


def test_board_searches_filters_and_pages(
    client: TestClient, edge: Edge, root: Person, carl: Person
):
    made = generate(client, root, duration_days=30, count=5)
    edge(service.redeem, code=made[2], user_id=carl.id)
    first_symbols = made[1][:8].lower().replace("-", " ")
    assert [one["code"] for one in listed(client, root, f"code={first_symbols}")] == [made[1]]
    for alien in ("%25", "_", "%00", "0", "%F0%9F%92%A5", "2" * 30):
        assert listed(client, root, f"code={alien}") == []
    [used] = listed(client, root, "status=used")
    assert (used["code"], used["username"], used["allowed_actions"]) == (made[2], "carl", [])
    assert listed(client, root, f"user_id={carl.id}") == [used]
    assert len(listed(client, root, f"created_by={root.id}")) == 5
    page = client.get("/api/serial/list?limit=3", headers=root.headers).json()
    assert [one["code"] for one in page["serials"]] == made[:1:-1]
    rest = listed(client, root, f"limit=3&before={page['next_before']}")
    assert [one["code"] for one in rest] == made[1::-1]
    assert rest[0]["allowed_actions"] == ["revoke"]
    assert client.get("/api/serial/list?sort=x", headers=root.headers).status_code == 422


def test_board_needs_few_statements(client: TestClient, statements: list[str], root: Person):
    generate(client, root, duration_days=30, count=30)
    statements.clear()
    assert len(listed(client, root)) == 20
    assert len(statements) <= 5


def test_one_is_shown_and_revoked(client: TestClient, root: Person):
    generate(client, root, duration_days=30)
    [one] = listed(client, root)
    url = f"/api/serial/{one['id']}"
    assert client.get(url, headers=root.headers).json()["serial"] == one
    assert client.post(f"{url}/revoke", json={}, headers=root.headers).status_code == 422
    answer = client.post(f"{url}/revoke", json={"reason": "lost"}, headers=root.headers)
    assert answer.json()["serial"]["status"] == "revoked"
    answer = client.post(f"{url}/revoke", json={"reason": "lost"}, headers=root.headers)
    assert answer.status_code == 409
    assert client.get("/api/serial/999", headers=root.headers).status_code == 404
    assert client.get("/api/serial/0", headers=root.headers).status_code == 422


def test_export_holds_what_the_filter_says(client: TestClient, root: Person):
    made = generate(client, root, duration_days=30, count=3, note="=1+1")
    generate(client, root, duration_days=5)
    answer = client.get("/api/serial/export?plan_id=3", headers=root.headers)
    assert answer.headers["content-type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert [line["code"] for line in lines] == made[::-1]
    assert {line["note"] for line in lines} == {"'=1+1"}
