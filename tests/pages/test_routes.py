"""What pages show at once: of a customer his own, of everything for admins only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from derpman.distribution.models import Application
from derpman.distribution.states import ApplicationStatus
from derpman.finance import checking
from derpman.finance.models import Plan
from derpman.kit.work import Edge, UnitOfWork
from derpman.monitoring import service as monitoring
from derpman.monitoring.service import Sample
from derpman.notifications import service as mails
from derpman.pages import customer, staff
from derpman.serials import service as serials
from derpman.traffic import rollups
from tests.conftest import MovableClock, Person


@pytest.fixture
def activated(
    client: TestClient, edge: Edge, carl: Person, add_server: Callable[..., int]
) -> Person:
    for _ in range(3):
        add_server()
    code = edge(serials.generate, duration_days=30)[0].code
    body = {"code": code}
    assert client.post("/api/user/activate", json=body, headers=carl.headers).status_code == 200
    return carl


def test_a_customer_sees_his_rental_and_nobody_elses(
    client: TestClient, activated: Person, eve: Person
) -> None:
    mine = client.get("/api/user/home", headers=activated.headers).json()
    assert mine["success"]
    assert mine["rental"]["user_id"] == activated.id
    assert len(mine["rental"]["slots"]) == 3
    assert mine["device_limit"] == mine["rental"]["device_limit"]
    hers = client.get("/api/user/home", headers=eve.headers).json()
    assert hers["rental"] is None
    assert hers["devices"] == hers["relays"] == hers["knocks"] == []


@pytest.mark.parametrize("path", ["/api/user/home", "/api/user/live"])
def test_a_visitor_sees_no_home(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 401


@pytest.mark.parametrize("path", ["/api/admin/overview", "/api/admin/live"])
def test_only_admins_see_the_overview(
    client: TestClient, carl: Person, rita: Person, path: str
) -> None:
    assert client.get(path).status_code == 401
    assert client.get(path, headers=carl.headers).status_code == 403
    assert client.get(path, headers=rita.headers).status_code == 403


def test_the_overview_counts_what_there_is(
    client: TestClient, activated: Person, root: Person
) -> None:
    seen = client.get("/api/admin/overview", headers=root.headers).json()
    assert seen["servers"] == {"healthy": 3}
    assert sum(one["relays"] for one in seen["relays"]) == 3
    assert seen["users"] == {"user": 1, "super_admin": 1}
    assert len(seen["regions"]) == 3
    assert seen["suspended"] == seen["mails_refused"] == 0
    assert seen["receipts_waiting"] == seen["applications_waiting"] == 0
    assert seen["accounts_differ"] == {}


def test_the_overview_tells_what_waits_and_what_does_not_agree(
    client: TestClient,
    edge: Edge,
    clock: MovableClock,
    activated: Person,
    rita: Person,
    root: Person,
) -> None:
    def put(work: UnitOfWork) -> None:
        plan_id = work.session.scalars(select(Plan.id)).first() or 0
        rows = {"user_id": rita.id, "plan_id": plan_id, "quantity": 5, "created_at": work.now}
        for status in (ApplicationStatus.PENDING, ApplicationStatus.REFUSED):
            work.session.add(Application(**rows, status=status))
        rollups.compare(work, server_id=1, ip="192.0.2.1", nic_bytes=1, relay_bytes=10**9)
        for key in ("one", "other"):
            checking.report(work, key, "nothing agrees")

    edge(put)
    clock.advance(minutes=1)
    seen = client.get("/api/admin/overview", headers=root.headers).json()
    assert seen["applications_waiting"] == 1
    assert seen["accounts_differ"] == {"traffic_drift": 1, "ledger_differs": 2}


def test_the_pages_take_few_statements(
    edge: Edge, activated: Person, statements: list[str]
) -> None:
    statements.clear()
    edge.read(staff.overview)
    assert len(statements) <= 17, "\n".join(statements)
    statements.clear()
    edge.read(customer.home, user_id=activated.id)
    assert len(statements) <= 24, "\n".join(statements)


def test_a_customer_sees_how_far_his_relays_are(
    client: TestClient, edge: Edge, clock: MovableClock, activated: Person, eve: Person
) -> None:
    relays = edge.read(customer.home, user_id=activated.id).rental
    assert relays is not None
    first, second, _ = sorted(relays.slots, key=lambda one: one.slot)
    sample = Sample(first.server_id, "latency.panel.tcp", 10.0)
    edge(monitoring.record, [sample, replace(sample, value=20.0)])
    edge(monitoring.record, [replace(sample, server_id=second.server_id, value=7.0)])
    clock.advance(hours=1)
    edge(monitoring.record, [replace(sample, value=40.0)])

    [one, other, third] = client.get("/api/user/latency", headers=activated.headers).json()[
        "relays"
    ]

    assert [one["slot"], other["slot"], third["slot"]] == [1, 2, 3]
    assert one["latency_ms"] == 40
    assert [hour["mean"] for hour in one["hours"]] == [15, 40]
    assert (other["latency_ms"], [hour["mean"] for hour in other["hours"]]) == (None, [7])
    assert (third["latency_ms"], third["hours"]) == (None, [])
    clock.advance(hours=23)
    answer = client.get("/api/user/latency", headers=activated.headers).json()
    assert [len(relay["hours"]) for relay in answer["relays"]] == [1, 0, 0]
    assert client.get("/api/user/latency", headers=eve.headers).json()["relays"] == []


def test_a_customer_reads_what_he_was_told_but_no_codes(
    client: TestClient, edge: Edge, activated: Person, eve: Person
) -> None:
    edge(
        mails.queue_mail,
        user_id=activated.id,
        address=activated.email,
        locale="en",
        template="user_suspended",
        params={"username": activated.username, "reason": "He asked for it."},
    )
    body = {"email": activated.email}
    assert client.post("/api/user/password/forgot", json=body).status_code == 200

    seen = client.get("/api/user/notices", headers=activated.headers).json()

    assert [one["template"] for one in seen["notices"]] == ["user_suspended"]
    assert seen["next_before"] is None
    assert "He asked for it." in seen["notices"][0]["text"]
    assert "\ue000" not in seen["notices"][0]["text"]
    assert client.get("/api/user/notices", headers=eve.headers).json()["notices"] == []
    assert client.get("/api/user/notices").status_code == 401
