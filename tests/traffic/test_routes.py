"""HTTP of traffic: what a customer sees of his, and staff of all."""

from __future__ import annotations

from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from tests.conftest import Person
from tests.traffic.conftest import MB, Customer


def test_customer_sees_his_traffic(client: TestClient, carls: Customer, carl: Person) -> None:
    carls.tell(*carls.relays)
    carls.send(carls.relays[0], 250 * MB, seconds=3600)
    traffic = client.get("/api/traffic/mine", headers=carl.headers).json()["traffic"]
    period = traffic["period"]
    assert (period["used_bytes"], period["left_bytes"]) == (250 * MB, 750 * MB)
    assert [relay["sent_bytes"] for relay in traffic["relays"]] == [250 * MB, 0, 0]
    assert sum(one["sent_bytes"] for one in traffic["series"]) == 250 * MB
    assert traffic["runs_out_at"] is not None  # a gigabyte lasts four hours at this pace


def test_live_rate_is_of_the_last_report(client: TestClient, carls: Customer, carl: Person) -> None:
    import json

    from sqlalchemy import update

    from derpman.kit.work import UnitOfWork
    from derpman.servers.models import ServerLink

    relay = carls.relays[1]
    carls.hear()

    def write(work: UnitOfWork) -> None:
        work.session.execute(
            update(ServerLink)
            .where(ServerLink.server_id == carls.server_of[relay])
            .values(rates=json.dumps({relay: 4200, 999: 7}))
        )

    carls.edge(write)
    read = lambda: client.get("/api/traffic/mine", headers=carl.headers).json()["traffic"]  # noqa: E731
    assert read()["rate_bytes_per_second"] == 4200
    carls.clock.advance(minutes=1)
    assert read()["rate_bytes_per_second"] == 0


def test_gap_is_shown_as_a_gap(client: TestClient, carls: Customer, carl: Person) -> None:
    carls.send(carls.relays[0], MB)
    carls.finish(carls.relays[0], gap=True)
    [gap] = client.get("/api/traffic/mine", headers=carl.headers).json()["traffic"]["gaps"]
    assert (gap["container_id"], gap["sent_bytes"]) == (carls.relays[0], MB)


def test_nobody_without_a_rental_has_a_period(client: TestClient, eve: Person) -> None:
    traffic = client.get("/api/traffic/mine", headers=eve.headers).json()["traffic"]
    assert (traffic["period"], traffic["relays"]) == (None, [])


@pytest.mark.parametrize(
    "path",
    ["user/1", "user/1/csv", "server/1", "server/1/csv", "overview", "quarantine"],
)
def test_staff_only(client: TestClient, eve: Person, path: str) -> None:
    assert client.get(f"/api/traffic/{path}", headers=eve.headers).status_code == 403
    assert client.get(f"/api/traffic/{path}").status_code == 401


def test_admin_gives_more(client: TestClient, carls: Customer, root: Person, eve: Person) -> None:
    body = {"user_id": carls.user_id, "bytes": 50 * MB, "reason": "outage"}
    refused = client.post("/api/traffic/grant", json=body, headers=eve.headers)
    assert refused.status_code == 403
    given = client.post("/api/traffic/grant", json=body, headers=root.headers).json()
    assert given["period"]["limit_bytes"] == 1050 * MB
    nobody = {**body, "user_id": eve.id}
    assert client.post("/api/traffic/grant", json=nobody, headers=root.headers).status_code == 409


def test_admin_sees_user_server_and_overview(
    client: TestClient, carls: Customer, root: Person
) -> None:
    from derpman.traffic import allowances
    from tests.traffic.test_rollups import roll

    relay = carls.relays[0]
    carls.send(relay, 20 * MB)
    carls.edge(allowances.sum_up)
    roll(carls.edge)
    get = lambda path: client.get(f"/api/traffic/{path}", headers=root.headers)  # noqa: E731
    assert get(f"user/{carls.user_id}").json()["traffic"]["period"]["used_bytes"] == 20 * MB
    server = get(f"server/{carls.server_of[relay]}").json()["traffic"]
    assert server["month_traffic_bytes"] == 20 * MB
    assert server["top_users"][0]["username"] == "carl"
    overview = get("overview?step=day&span=30").json()["overview"]
    assert (overview["servers"], overview["traffic_bytes"]) == (3, 20 * MB)
    assert get("server/999").status_code == 404
    assert get("user/999").status_code == 404


def test_series_are_a_file_too(client: TestClient, carls: Customer, carl: Person) -> None:
    carls.send(carls.relays[0], 20 * MB)
    answer = client.get("/api/traffic/mine/csv?step=day", headers=carl.headers)
    assert answer.text.splitlines()[0].endswith("begins_at,sent_bytes")
    assert answer.text.splitlines()[1].endswith(f",{20 * MB}")


def test_impossible_count_waits_for_an_admin(
    client: TestClient, carls: Customer, root: Person
) -> None:
    size = 10**13
    carls.send(carls.relays[0], size)
    [held] = client.get("/api/traffic/quarantine", headers=root.headers).json()["quarantine"]
    path = f"/api/traffic/quarantine/{held['id']}"
    assert carls.total() == 0
    assert client.post(path, json={"is_billed": True}, headers=root.headers).status_code == 200
    assert carls.total() == size
    assert carls.period().over_at is not None
    assert client.post(path, json={"is_billed": False}, headers=root.headers).status_code == 409
    assert (
        client.get("/api/traffic/quarantine?verdict=open", headers=root.headers).json()[
            "quarantine"
        ]
        == []
    )


def test_page_of_a_customer_asks_little(
    client: TestClient, carls: Customer, carl: Person, statements: list[str]
) -> None:
    carls.clock.advance(seconds=1)
    client.get("/api/traffic/mine", headers=carl.headers)
    statements.clear()
    client.get("/api/traffic/mine", headers=carl.headers)
    assert len(statements) <= 18


def test_projection_needs_use(client: TestClient, carls: Customer, carl: Person) -> None:
    carls.clock.advance(hours=1)
    traffic = client.get("/api/traffic/mine", headers=carl.headers).json()["traffic"]
    assert traffic["runs_out_at"] is None
    assert carls.period().ends_at - carls.clock() < timedelta(days=30)
