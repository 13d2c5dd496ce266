"""Alerts over HTTP."""

import pytest

from derpman.alerts.models import Severity
from tests.alerts.test_service import raise_one


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/alerts/list"), ("POST", "/api/alerts/1/resolve")]
)
def test_only_for_admins(client, eve, rita, method: str, path: str):
    assert client.request(method, path).status_code == 401
    for person in (eve, rita):
        assert client.request(method, path, headers=person.headers).status_code == 403


def test_list_and_resolve(client, root, edge):
    raise_one(edge, key="3")
    worst = raise_one(edge, Severity.CRITICAL, key="4")
    listed = client.get("/api/alerts/list", headers=root.headers).json()
    assert listed["success"] is True
    assert [alert["severity"] for alert in listed["alerts"]] == ["critical", "warning"]
    assert listed["alerts"][0]["params"]["server_id"] == 3
    assert listed["alerts"][0]["allowed_actions"] == ["resolve"]

    answer = client.post(f"/api/alerts/{worst.id}/resolve", headers=root.headers)
    assert answer.json()["alert"]["resolved"] is True
    assert answer.json()["alert"]["allowed_actions"] == []
    again = client.post(f"/api/alerts/{worst.id}/resolve", headers=root.headers)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "alerts.resolved")

    still = client.get("/api/alerts/list?resolved=false", headers=root.headers).json()["alerts"]
    assert [alert["severity"] for alert in still] == ["warning"]
    none = client.get("/api/alerts/list?severity=info", headers=root.headers).json()["alerts"]
    assert none == []
    logs = client.get("/api/logs/system?action=alert.resolve", headers=root.headers).json()["logs"]
    assert [log["object_id"] for log in logs] == [worst.id]


def test_unknown(client, root):
    missing = client.post("/api/alerts/77/resolve", headers=root.headers)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "alerts.not_found")


@pytest.mark.parametrize("query", ["severity=bad", "resolved=perhaps", "extra=1", "limit=0"])
def test_bad_queries(client, root, query: str):
    answer = client.get(f"/api/alerts/list?{query}", headers=root.headers)
    assert answer.status_code == 422


def test_as_csv(client, root, edge):
    for key in "345":
        raise_one(edge, key=key)
    answer = client.get("/api/alerts/list?format=csv&resolved=false", headers=root.headers)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    lines = answer.content.decode("utf-8-sig").split("\r\n")
    assert lines[0].startswith("id,alert_type,severity,message,resolved,")
    assert len(lines) == 5
