"""The serial board: what became of a serial, and many revoked at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from starlette.testclient import TestClient

from derpman.kit.work import Edge
from derpman.rentals import service as rentals
from derpman.serials import service
from tests.conftest import MovableClock, Person


def test_a_serial_leads_to_its_customer_servers_and_containers(
    client: TestClient,
    edge: Edge,
    clock: MovableClock,
    add_server: Callable[..., int],
    root: Person,
    carl: Person,
    eve: Person,
):
    places = [add_server() for _ in range(3)]
    [serial] = edge(service.generate, duration_days=30)
    url = f"/api/serial/{serial.id}/chain"
    unused = client.get(url, headers=root.headers).json()
    assert (unused["status"], unused["term"], unused["containers"]) == ("unused", None, [])
    edge(rentals.activate, code=serial.code, user_id=carl.id)
    clock.advance(days=15)
    found = client.get(url, headers=root.headers).json()
    assert (found["username"], found["plan"]) == ("carl", "30 天 / 30 days")
    assert found["term"]["used_percent"] == 50
    assert found["term"]["used_seconds"] == timedelta(days=15).total_seconds()
    assert sorted(one["server_id"] for one in found["containers"]) == places
    assert client.get(url, headers=eve.headers).status_code == 403
    assert client.get("/api/serial/999/chain", headers=root.headers).status_code == 404


def test_many_serials_are_revoked_and_used_ones_left_out(
    client: TestClient,
    edge: Edge,
    root: Person,
    carl: Person,
    statements: list[str],
):
    made = edge(service.generate, duration_days=30, count=5)
    edge(service.redeem, code=made[0].code, user_id=carl.id)
    ids = [one.id for one in made]
    body = {"ids": [*ids, 999_999], "reason": "printed wrong"}
    statements.clear()
    answer = client.post("/api/serial/revoke", json=body, headers=root.headers).json()
    assert (answer["revoked"], answer["left_out"]) == (ids[1:], [ids[0], 999_999])
    assert len(statements) <= 8, "\n".join(statements)
    again = client.post("/api/serial/revoke", json=body, headers=root.headers).json()
    assert again["revoked"] == []
    refused = client.post("/api/serial/revoke", json=body, headers=carl.headers)
    assert refused.status_code == 403
