"""Servers over HTTP: who may, what is refused, what is never shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from derpman.kit import live
from derpman.kit.work import Edge
from derpman.servers import adding, jobrun, upkeep
from derpman.servers.models import Transport
from derpman.wiring import System

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from tests.conftest import Person

ROUTES = [
    ("POST", "/api/server/add", {"ip": "203.0.113.9", "region": "a"}),
    ("GET", "/api/server/list", None),
    ("GET", "/api/server/1", None),
    ("GET", "/api/server/1/log", None),
    ("GET", "/api/server/jobs/1", None),
    ("GET", "/api/server/jobs/1/events", None),
    ("POST", "/api/server/1/check", None),
    ("POST", "/api/server/1/retry", {}),
    ("POST", "/api/server/1/update", {}),
    ("POST", "/api/server/1/remove", {}),
    ("POST", "/api/server/1/script", None),
]
SSH = {"user": "root", "password": "only once"}


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_only_admins_may(
    client: TestClient, carl: Person, eve: Person, rita: Person, method: str, path: str, body: Any
) -> None:
    assert client.request(method, path, json=body).status_code == 401
    for person in (carl, eve, rita):
        refused = client.request(method, path, json=body, headers=person.headers)
        assert refused.status_code == 403


def test_the_owners_call_is_enough(client: TestClient, root: Person) -> None:
    answer = client.post(
        "/api/server/add", json={"ip": "203.0.113.9", "region": "杭州"}, headers=root.headers
    ).json()
    assert answer["success"] is True
    assert answer["server_id"] == 1
    assert answer["command"].startswith("curl -fsS 'https://derp.example/api/server/1/bootstrap?")


def test_an_added_server_is_listed_with_its_fields(client: TestClient, root: Person) -> None:
    body = {
        "ip": "203.0.113.9",
        "region": "Hangzhou",
        "ssh": SSH,
        "account_phone": "+86 13800000000",
        "registered_place": "浙江杭州",
        "monthly_allowance_bytes": 10**12,
    }
    added = client.post("/api/server/add", json=body, headers=root.headers).json()
    assert added["command"] is None
    listed = client.get("/api/server/list", headers=root.headers).json()
    (server,) = listed["servers"]
    assert server["account_phone"] == "+86 13800000000"
    assert server["month_remaining_bytes"] == 10**12
    assert server["allowed_actions"] == ["retry", "remove"]
    assert listed["regions"][0]["region"] == "Hangzhou"
    assert "only once" not in str(listed)
    shown = client.get(f"/api/server/{added['server_id']}", headers=root.headers).json()
    assert shown["job"]["id"] == added["job_id"]
    assert "only once" not in str(shown)


def test_figures_are_shown_by_region(
    client: TestClient, root: Person, add_server: Callable[..., int]
) -> None:
    add_server("a", relay_count=2, load=0.2, capacity=10)
    add_server("a", relay_count=3, load=0.4, capacity=10)
    add_server("b", relay_count=1, load=0.1, capacity=10)
    regions = client.get("/api/server/list", headers=root.headers).json()["regions"]
    assert [(one["region"], one["servers"], one["users"], one["load"]) for one in regions] == [
        ("a", 2, 5, 0.3),
        ("b", 1, 1, 0.1),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"ip": "not an ip"},
        {"ip": "0.0.0.0"},
        {"ip": "224.0.0.1"},
        {"ip": "fe80::1%eth0"},
        {"ip": "169.254.169.254"},
        {"ip": "203.0.113.9 "},
        {"region": ""},
        {"region": "a\x00b"},
        {"region": "x" * 65},
        {"port_from": 80},
        {"port_from": 30000, "port_to": 20000},
        {"port_to": 70000},
        {"capacity": 0},
        {"monthly_allowance_bytes": 2**63},
        {"account_phone": "call me"},
        {"host_key_fingerprint": "MD5:aa"},
        {"ssh": {"user": "root; reboot"}},
        {"ssh": {"private_key": "no key"}},
        {"ssh": {"password": ""}},
        {"unknown": 1},
    ],
)
def test_bad_input_is_refused(client: TestClient, root: Person, change: Any) -> None:
    body = {"ip": "203.0.113.9", "region": "a", **change}
    answer = client.post("/api/server/add", json=body, headers=root.headers)
    assert answer.status_code == 422, answer.text
    assert answer.json()["success"] is False


def test_the_same_address_in_another_spelling_is_the_same(client: TestClient, root: Person) -> None:
    for ip, status in (("2001:db8::1", 200), ("2001:0DB8:0:0::0001", 409)):
        body = {"ip": ip, "region": "a"}
        answer = client.post("/api/server/add", json=body, headers=root.headers)
        assert answer.status_code == status


def test_a_server_is_changed_and_fields_are_emptied(
    client: TestClient, root: Person, add_server: Callable[..., int]
) -> None:
    server_id = add_server(account_phone="123456", monthly_allowance_bytes=5)
    path = f"/api/server/{server_id}/update"
    body = {"capacity": 7, "account_phone": None, "region": None, "version": 1}
    changed = client.post(path, json=body, headers=root.headers).json()["server"]
    assert (changed["capacity"], changed["account_phone"]) == (7, None)
    assert changed["region"] == "region-1"
    assert changed["monthly_allowance_bytes"] == 5
    stale = client.post(path, json={"capacity": 8, "version": 1}, headers=root.headers)
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "servers.changed_meanwhile")
    log = client.get("/api/logs/system?action=server.update", headers=root.headers).json()
    assert log["logs"][0]["after"] == {"account_phone": None, "capacity": 7}


def test_a_server_with_relays_is_not_removed(
    client: TestClient, root: Person, add_server: Callable[..., int]
) -> None:
    server_id = add_server(relay_count=2)
    path = f"/api/server/{server_id}/remove"
    refused = client.post(path, json={}, headers=root.headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "servers.has_relays")
    assert refused.json()["error"]["params"] == {"relays": 2}


def test_a_job_is_shown_with_its_steps_and_streamed_to_its_end(
    client: TestClient,
    root: Person,
    edge: Edge,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "POLL_SECONDS", 0.05)
    server, job = edge(upkeep.add, ip="203.0.113.9", region="a", transport=Transport.FAKE)
    (tmp_path / "relay-image.tar").write_bytes(b"x")
    (tmp_path / "relay-image.tar.label").write_text("derper-1")
    jobrun.run(jobrun.Means(edge, tmp_path, 2**26), job.id, adding.PROGRAMS)
    shown = client.get(f"/api/server/jobs/{job.id}", headers=root.headers).json()["job"]
    assert [step["name"] for step in shown["steps"]] == ["hello", "image", "measure", "accept"]
    assert shown["steps"][0]["found"]["runtime"] == "fake"
    stream = client.get(f"/api/server/jobs/{job.id}/events", headers=root.headers).text
    assert '"status":"done"' in stream
    assert stream.rstrip().endswith("event: end\ndata: {}")
    log = client.get(f"/api/server/{server.id}/log", headers=root.headers).json()["logs"]
    assert [(row["action"], row["result"]) for row in log] == [("add", "ok")]


def test_what_is_not_there_is_not_found(client: TestClient, root: Person) -> None:
    for path in ("/api/server/9", "/api/server/9/log", "/api/server/jobs/9"):
        assert client.get(path, headers=root.headers).status_code == 404
    for path in ("check", "retry", "update", "remove"):
        answer = client.post(f"/api/server/9/{path}", json={}, headers=root.headers)
        assert answer.status_code == 404


@pytest.fixture
def built(system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    (tmp_path / "derpman-node").write_bytes(b"\x7fELF" + bytes(200_000))
    monkeypatch.setitem(system.settings.__dict__, "build_dir", tmp_path)
    return tmp_path


def _token(command: str) -> str:
    return command.partition("token=")[2].partition("'")[0]


@pytest.mark.usefixtures("built")
def test_the_script_is_given_to_whoever_has_the_address_for_an_hour(
    client: TestClient, root: Person, clock: Any
) -> None:
    body = {"ip": "203.0.113.9", "region": "a"}
    command = client.post("/api/server/add", json=body, headers=root.headers).json()["command"]
    path = "/api/server/1/bootstrap"
    token = _token(command)
    script = client.get(path, params={"token": token})
    assert script.status_code == 200
    assert script.text.startswith("#!/bin/sh\n")
    assert "ssh-ed25519 " in script.text
    assert "PRIVATE" not in script.text
    for wrong in ("", "x", token[:-1] + ("0" if token[-1] != "0" else "1"), f"9{token}"):
        assert client.get(path, params={"token": wrong}).status_code == 403
    assert client.get("/api/server/2/bootstrap", params={"token": token}).status_code == 403
    clock.advance(hours=1, seconds=1)
    assert client.get(path, params={"token": token}).status_code == 403


def test_the_script_reports_the_host_key_once(client: TestClient, root: Person, edge: Edge) -> None:
    body = {"ip": "203.0.113.9", "region": "a"}
    command = client.post("/api/server/add", json=body, headers=root.headers).json()["command"]
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    report = {"token": _token(command), "host_key": " ".join(key.split()[:2])}
    path = "/api/server/1/bootstrap"
    assert client.post(path, json={**report, "token": "x"}).status_code == 403
    assert client.post(path, json={**report, "host_key": "ssh-ed25519 AA"}).status_code == 422
    assert client.post(path, json=report).json() == {"success": True}
    shown = client.get("/api/server/1", headers=root.headers).json()["server"]
    assert shown["host_key_fingerprint"].startswith("SHA256:")


def test_a_script_cannot_be_given_where_nothing_was_built(
    client: TestClient,
    root: Person,
    system: System,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(system.settings.__dict__, "build_dir", tmp_path / "nothing")
    body = {"ip": "203.0.113.9", "region": "a"}
    command = client.post("/api/server/add", json=body, headers=root.headers).json()["command"]
    answer = client.get("/api/server/1/bootstrap", params={"token": _token(command)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "servers.not_built")
