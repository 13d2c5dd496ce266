"""`/api/security/…` as a customer and a stranger call it."""

from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient

from derpman.containers.models import Placement
from derpman.devices import sightings
from derpman.kit.work import Edge
from derpman.rentals.models import Rental
from tests.conftest import Person

KEY = "nodekey:" + "ab" * 32


@pytest.fixture
def waiting(edge: Edge, relays: list[Placement]) -> int:
    report = {"relay": relays[0].id, "key": KEY, "address": "198.51.100.9", "count": 1}
    edge(sightings.record_knocks, server_id=relays[0].server_id, knocks=[report])
    return 1


def test_first_device_from_key_to_removal(client: TestClient, carl: Person, rental: Rental) -> None:
    made = client.post(
        "/api/security/devices", json={"node_key": KEY, "name": "笔记本"}, headers=carl.headers
    )
    assert made.json()["success"] is True
    device_id = made.json()["device"]["id"]
    listed = client.get("/api/security/devices", headers=carl.headers).json()
    assert [device["name"] for device in listed["devices"]] == ["笔记本"]
    assert listed["limit"] == rental.device_limit
    renamed = client.post(
        f"/api/security/devices/{device_id}/rename", json={"name": "x"}, headers=carl.headers
    )
    assert renamed.json()["device"]["name"] == "x"
    removed = client.post(f"/api/security/devices/{device_id}/remove", headers=carl.headers)
    assert removed.json()["device"]["status"] == "removed"
    assert client.get("/api/security/devices", headers=carl.headers).json()["devices"] == []


def test_machine_key_is_refused_by_name(client: TestClient, carl: Person, rental: Rental) -> None:
    answer = client.post(
        "/api/security/devices",
        json={"node_key": "mkey:" + "ab" * 32, "name": "x"},
        headers=carl.headers,
    )
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "devices.not_a_node_key"
    assert answer.json()["error"]["params"] == {"kind": "mkey"}


def test_import_previews_and_registers_what_was_chosen(
    client: TestClient, carl: Person, rental: Rental
) -> None:
    other = "nodekey:" + "cd" * 32
    status = json.dumps(
        {"Self": {"PublicKey": KEY, "HostName": "a"}, "Peer": {"x": {"PublicKey": other}}}
    )
    url = "/api/security/devices/import"
    preview = client.post(url, json={"status": status, "preview": True}, headers=carl.headers)
    assert [row["result"] for row in preview.json()["results"]] == ["new", "new"]
    done = client.post(url, json={"status": status, "node_keys": [other]}, headers=carl.headers)
    assert [row["node_key"] for row in done.json()["results"]] == [other]
    assert done.json()["results"][0]["result"] == "registered"


def test_knock_list_approve_block(client: TestClient, carl: Person, waiting: int) -> None:
    [knock] = client.get("/api/security/knocks", headers=carl.headers).json()["knocks"]
    assert knock["allowed_actions"] == ["approve", "block"]
    assert knock["ip_address"] == "198.51.100.9"
    blocked = client.post(f"/api/security/knocks/{waiting}/block", headers=carl.headers)
    assert blocked.json()["knock"]["allowed_actions"] == ["approve", "unblock"]
    approved = client.post(
        f"/api/security/knocks/{waiting}/approve", json={"name": "phone"}, headers=carl.headers
    )
    assert approved.json()["device"]["node_key"] == KEY


def test_pairing_window_over_http(client: TestClient, carl: Person, rental: Rental) -> None:
    url = "/api/security/pairing"
    assert client.get(url, headers=carl.headers).json()["is_open"] is False
    opened = client.post(url, json={"minutes": 5}, headers=carl.headers).json()
    assert opened["is_open"] is True
    client.post(f"{url}/close", headers=carl.headers)
    assert client.get(url, headers=carl.headers).json()["is_open"] is False


@pytest.mark.parametrize("minutes", [0, 61, -1, "x", None])
def test_pairing_is_for_minutes(
    client: TestClient, carl: Person, rental: Rental, minutes: object
) -> None:
    answer = client.post("/api/security/pairing", json={"minutes": minutes}, headers=carl.headers)
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("POST", "/api/security/devices/1/remove"),
        ("POST", "/api/security/knocks/1/block"),
        ("POST", "/api/security/knocks/1/unblock"),
    ],
)
def test_eve_finds_nothing_of_carl(
    client: TestClient, carl: Person, eve: Person, waiting: int, method: str, url: str
) -> None:
    client.post(
        "/api/security/devices", json={"node_key": "cd" * 32, "name": "x"}, headers=carl.headers
    )
    foreign = client.request(method, url, headers=eve.headers)
    missing = client.request(method, url.replace("/1/", "/999/"), headers=eve.headers)
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json() == missing.json()
    assert client.request(method, url).status_code == 401


def test_staff_sees_a_customers_devices_and_eve_does_not(
    client: TestClient, carl: Person, eve: Person, root: Person, rental: Rental
) -> None:
    url = f"/api/security/users/{carl.id}/devices"
    assert client.get(url, headers=root.headers).json()["limit"] == rental.device_limit
    assert client.get(url, headers=eve.headers).status_code == 403
