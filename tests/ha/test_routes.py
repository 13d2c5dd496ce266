"""HTTP of failover, moves, health, draining, removing and load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from derpman.containers import service as containers
from derpman.ha.mover import Mover
from derpman.ha.service import Limits
from derpman.kit.work import Edge
from derpman.monitoring import service as monitoring
from derpman.monitoring.service import Sample
from derpman.rentals import service as rentals
from derpman.rentals.models import Rental
from derpman.serials import service as serials
from derpman.servers import health, leases
from derpman.servers.models import Server
from derpman.servers.states import ServerStatus
from tests.conftest import MovableClock, Person

AddServer = Callable[..., int]
ROUTES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/api/ha/failover", {}),
    ("GET", "/api/ha/moves", None),
    ("POST", "/api/ha/moves/1/cancel", {}),
    ("GET", "/api/ha/state", None),
    ("GET", "/api/server/1/health", None),
    ("POST", "/api/server/1/drain", {}),
    ("POST", "/api/server/1/undrain", {}),
    ("POST", "/api/server/1/remove", {}),
    ("POST", "/api/server/1/give_up", {"reason": "stolen"}),
    ("GET", "/api/monitoring/load_analysis", None),
]


@pytest.fixture
def servers(add_server: AddServer) -> list[int]:
    return [add_server(region) for region in ("hangzhou", "beijing", "shenzhen", "chengdu")]


@pytest.fixture
def rental(edge: Edge, edge_of: Callable[..., Edge], carl: Person, servers: list[int]) -> Rental:
    code = edge(serials.generate, duration_days=30)[0].code
    return edge_of(carl.actor)(rentals.activate, code=code, user_id=carl.id)


def put(edge: Edge, server_id: int, status: ServerStatus, **values: object) -> None:
    edge(
        lambda work: work.session.execute(
            update(Server).where(Server.id == server_id).values(status=status, **values)
        )
    )


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_admins_only(
    client: TestClient, eve: Person, servers: list[int], method: str, path: str, body: Any
) -> None:
    assert client.request(method, path, json=body).status_code == 401
    answer = client.request(method, path, json=body, headers=eve.headers)
    assert (answer.status_code, answer.json()["success"]) == (403, False)


def test_owners_failover_without_a_body(
    client: TestClient, edge: Edge, root: Person, rental: Rental, servers: list[int]
) -> None:
    assert rental.id
    answer = client.post("/api/ha/failover", headers=root.headers).json()
    assert answer["success"] is True
    assert answer["moves"] == 0
    put(edge, servers[0], ServerStatus.DEAD)
    put(edge, servers[1], ServerStatus.UNHEALTHY)
    answer = client.post("/api/ha/failover", headers=root.headers).json()
    assert answer["server_ids"] == servers[:2]
    assert answer["moves"] in (1, 2)
    assert isinstance(answer["message"], str)
    moves = client.get("/api/ha/moves", headers=root.headers).json()["moves"]
    assert len(moves) == answer["moves"]
    assert {one["cause"] for one in moves} == {"failover"}
    assert {one["actor_name"] for one in moves} == {"root_"}
    state = client.get("/api/ha/state", headers=root.headers).json()
    assert (state["waiting"], state["is_frozen"], state["lost"]) == (len(moves), False, 2)


def test_a_healthy_server_is_not_failed_over(
    client: TestClient, root: Person, servers: list[int]
) -> None:
    answer = client.post("/api/ha/failover", json={"server_id": servers[0]}, headers=root.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "ha.server_healthy")
    answer = client.post("/api/ha/failover", json={"server_id": 999}, headers=root.headers)
    assert answer.status_code == 404


def test_a_move_that_waits_is_cancelled_and_one_that_began_is_not(
    client: TestClient, edge: Edge, root: Person, rental: Rental, servers: list[int]
) -> None:
    for server_id in servers:
        answer = client.post(
            f"/api/server/{server_id}/drain", json={"move": True}, headers=root.headers
        )
        assert answer.status_code == 200, answer.text
    first, second, _third = client.get("/api/ha/moves", headers=root.headers).json()["moves"]
    path = f"/api/ha/moves/{first['id']}/cancel"
    assert client.post(path, headers=root.headers).status_code == 200
    answer = client.post(path, headers=root.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "state.illegal")
    for server_id in servers:
        client.post(f"/api/server/{server_id}/undrain", headers=root.headers)
    states = client.get("/api/ha/moves", headers=root.headers).json()["moves"]
    assert {one["status"] for one in states} == {"cancelled"}
    answer = client.post(f"/api/server/{servers[0]}/undrain", headers=root.headers)
    assert answer.json()["error"]["code"] == "servers.not_draining"
    assert second["rental_id"] == rental.id
    assert edge is not None


def test_a_server_with_relays_is_removed_by_moving_them(
    client: TestClient, edge: Edge, root: Person, carl: Person, rental: Rental,
    servers: list[int],
) -> None:  # fmt: skip
    there = edge.read(containers.placements_of, rental_id=rental.id)[0].server_id
    path = f"/api/server/{there}/remove"
    answer = client.post(path, json={}, headers=root.headers)
    assert answer.json()["error"]["code"] == "servers.has_relays"
    answer = client.post(
        path, json={"move": True, "at_once": True, "reason": "old"}, headers=root.headers
    )
    assert answer.json() == {"success": True, "job_id": None, "moves": 1}
    put(edge, there, ServerStatus.DEAD)
    mover = Mover(edge, limits=Limits(100, 100), after_seconds=None)
    mover.step()
    mover.sweep()
    shown = client.get(f"/api/server/{there}", headers=root.headers).json()
    assert shown["server"]["status"] == "removed"
    assert shown["job"]["kind"] == "remove"
    assert len(edge.read(containers.placements_of, user_id=carl.id)) == 3


def test_health_shows_history_and_trends(
    client: TestClient, edge: Edge, root: Person, servers: list[int], clock: MovableClock
) -> None:
    one = servers[0]
    edge(leases.renew, "me", 16)
    edge(health.change, "me", one, "doubt", health.NO_CONTACT, {"contact_misses": 2})
    edge(health.vote, [(one, servers[1], 3)])
    edge(health.change, "me", one, "condemn", health.NO_CONTACT, {"observers": servers[1:3]})
    for minute in range(90):
        at = clock.now + timedelta(minutes=minute)
        later = replace(edge, clock=lambda at=at: at)
        later(
            monitoring.record,
            [Sample(one, "latency.panel.node", float(minute)), Sample(one, "load", 9.0)],
        )
    answer = client.get(f"/api/server/{one}/health", headers=root.headers).json()
    assert (answer["status"], answer["cause"], answer["losses"]) == ("dead", "no_contact", 1)
    assert answer["observers"] == {str(servers[1]): 3}
    assert [change["after"] for change in answer["changes"]] == ["dead", "suspect"]
    [trend] = answer["trends"]
    assert trend["metric"] == "latency.panel.node"
    assert [(point["samples"], point["mean"], point["most"]) for point in trend["points"]] == [
        (60, 29.5, 59.0),
        (30, 74.5, 89.0),
    ]
    answer = client.get(f"/api/server/{one}/health?step=day", headers=root.headers).json()
    [point] = answer["trends"][0]["points"]
    assert (point["samples"], point["mean"]) == (90, 44.5)
    assert point["at"].endswith("+08:00"), "days are Beijing's"


def test_owners_load_analysis_says_what_to_do(
    client: TestClient, edge: Edge, root: Person, rental: Rental, servers: list[int],
    statements: list[str],
) -> None:  # fmt: skip
    put(edge, servers[0], ServerStatus.DEAD)
    put(edge, servers[1], ServerStatus.HEALTHY, relay_count=90)
    put(edge, servers[2], ServerStatus.HEALTHY,
        monthly_allowance_bytes=100, month_traffic_bytes=81)  # fmt: skip
    statements.clear()
    answer = client.get("/api/monitoring/load_analysis", headers=root.headers).json()
    assert answer["success"] is True
    advice = {one["server_id"]: one["advice"] for one in answer["load_analysis"]}
    assert advice == dict(zip(servers, ["replace", "full", "allowance", "fine"], strict=True))
    assert all(one["advice_text"] and one["advice_text_zh"] for one in answer["load_analysis"])
    assert answer["load_analysis"][0]["server_id"] == servers[1], "the fullest first"
    regions = {one["region"]: one["advice"] for one in answer["regions"]}
    assert regions["hangzhou"] == "add_region"
    assert regions["beijing"] == "full"
    assert len(statements) <= 8
    assert rental.id
