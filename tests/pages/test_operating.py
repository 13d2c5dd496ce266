"""`/healthz`, `/readyz` and `/metrics` tell the truth, the last to whom it is meant for only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import text, update

from derpman.alerts import service as alerts
from derpman.alerts.models import Severity
from derpman.api import create_app
from derpman.kit import revisions
from derpman.kit.db import engine_for
from derpman.kit.work import Edge, UnitOfWork
from derpman.migrations import config_for
from derpman.monitoring import measuring
from derpman.pages import metrics
from derpman.pages.health import NotReady, Readiness
from derpman.pages.metrics import Installation
from derpman.servers.models import ServerLink
from derpman.wiring import System
from tests.conftest import MovableClock, Person

TOKEN = "for-prometheus-alone"
Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def operated(system: System) -> Iterator[TestClient]:
    """A client of an application whose settings name a token."""
    settings = system.settings.model_copy(update={"metrics_token": SecretStr(TOKEN)})
    with TestClient(create_app(replace(system, settings=settings))) as client:
        yield client


def figures(body: str) -> Figures:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


def of(found: Figures, name: str, **labels: str) -> float:
    wanted = frozenset(labels.items())
    fitting = [value for (one, has), value in found.items() if one == name and wanted <= has]
    assert len(fitting) == 1, (name, labels, fitting)
    return fitting[0]


def scrape(client: TestClient) -> Figures:
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return figures(answer.text)


def test_only_who_knows_the_token_reads_metrics(
    client: TestClient, operated: TestClient, root: Person
) -> None:
    for headers in ({}, root.headers, {"Authorization": f"Bearer {TOKEN}x"}):
        answer = operated.get("/metrics", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "system.metrics_token_wrong"
    for shown in ("", TOKEN):  # none is set here: an empty one is no key either
        answer = client.get("/metrics", headers={"Authorization": f"Bearer {shown}"})
        assert answer.status_code == 401


def test_metrics_tell_what_there_is(
    operated: TestClient, edge: Edge, clock: MovableClock, add_server: Callable[..., int]
) -> None:
    near, far = add_server("上海"), add_server("广州", monthly_allowance_bytes=1000)
    host = {"load1": 0.5, "memory_bytes": 1000, "memory_used_bytes": 250, "admitted": 7}

    def arrange(work: UnitOfWork) -> None:
        link = update(ServerLink).where(ServerLink.server_id == near)
        work.session.execute(link.values(host=json.dumps(host), contact_at=work.now))
        alerts.raise_alert(
            work,
            alert_type="ledger_differs",
            severity=Severity.CRITICAL,
            object_key="account:1",
            params={"what": "x"},
        )
        measuring.measure(work)

    edge(arrange)
    clock.advance(seconds=20)
    found = scrape(operated)
    assert of(found, "derpman_server_contact_age_seconds", server=str(near)) == 20
    assert of(found, "derpman_server_memory_ratio", server=str(near)) == 0.25
    assert of(found, "derpman_server_admissions_total", server=str(near), answer="admitted") == 7
    assert of(found, "derpman_server_state", server=str(near), region="上海", state="healthy") == 1
    assert of(found, "derpman_server_month_allowance_bytes") == 1000  # of the other there is none
    assert of(found, "derpman_server_relays", server=str(far)) == 0
    assert of(found, "derpman_ledger_differences") == 1
    assert of(found, "derpman_alerts_open", severity="critical") == 1
    assert of(found, "derpman_measured_age_seconds") == 20
    assert of(found, "derpman_deliveries", state="pending") >= 1  # of the alert
    assert of(found, "derpman_delivery_age_seconds") == 20
    assert of(found, "derpman_queue_messages") == 0


def test_requests_are_counted_by_route_and_not_by_address(operated: TestClient) -> None:
    operated.get("/api/finance/plans")
    for number in range(5):
        operated.get(f"/no/such/{number}")
    found = scrape(operated)
    plans = {"method": "GET", "route": "/api/finance/plans", "status": "200"}
    assert of(found, "derpman_http_requests_total", **plans) == 1
    assert of(found, "derpman_http_requests_total", route="none", status="404") == 5
    assert of(found, "derpman_http_request_seconds_count", route="/api/finance/plans") == 1


def test_metrics_take_as_many_statements_with_more_servers(
    edge: Edge, add_server: Callable[..., int], statements: list[str]
) -> None:
    counts: list[int] = []
    for _ in range(2):
        add_server()
        statements.clear()
        edge.read(metrics.collect)
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 14


def test_figures_are_read_anew_only_after_some_seconds(
    edge: Edge, add_server: Callable[..., int]
) -> None:
    now = 0.0
    registry = CollectorRegistry()
    registry.register(Installation(edge, lambda: None, lambda: now))
    add_server()
    first = generate_latest(registry)
    add_server()
    assert generate_latest(registry) == first
    now = metrics.FRESH_SECONDS + 1
    assert generate_latest(registry) != first
    assert b"\nderpman_queue_messages" not in first  # a Redis that is away gives no number


@pytest.fixture
def set_version(system: System) -> Iterator[Callable[[str | None], None]]:
    """Have the database say that it is of another form; the tests share one on a server."""

    def write(version: str | None) -> None:
        with system.engine.begin() as connection:
            connection.execute(text("DELETE FROM alembic_version"))
            if version is not None:
                into = text("INSERT INTO alembic_version VALUES (:version)")
                connection.execute(into, {"version": version})

    with system.engine.connect() as connection:
        kept = connection.scalar(text("SELECT version_num FROM alembic_version"))
    yield write
    write(kept)


def test_a_process_is_ready_while_database_and_migrations_are_there(
    client: TestClient, set_version: Callable[[str | None], None]
) -> None:
    assert client.get("/healthz").json() == {"success": True}
    assert client.get("/readyz").status_code == 200
    for version in ("0001", None):
        set_version(version)
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["error"]["params"] == {"missing": "migrations"}
        assert client.get("/healthz").status_code == 200
    set_version("9999")  # an upgrade is under way: the newer form is no fault of ours
    assert client.get("/readyz").status_code == 200


def test_the_revisions_it_knows_are_those_of_the_migrations(system: System) -> None:
    script = ScriptDirectory.from_config(config_for(system.engine))
    every = [one.revision for one in script.walk_revisions()]
    assert list(revisions.known()) == every[::-1]


def test_an_empty_database_lacks_its_migrations(tmp_path: Path) -> None:
    engine = engine_for(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    with pytest.raises(NotReady) as refused:
        Readiness(engine, None).check()
    assert refused.value.params == {"missing": "migrations"}


def test_a_process_without_its_redis_or_database_says_so(system: System) -> None:
    settings = system.settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")})
    with TestClient(create_app(replace(system, settings=settings))) as client:
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["error"]["params"] == {"missing": "redis"}


ALERT: dict[str, Any] = {
    "status": "firing",
    "fingerprint": "0123456789abcdef",
    "labels": {"alertname": "ApiSlow", "severity": "warning", "instance": "a"},
    "annotations": {"summary": "One of a hundred is slow", "summary_zh": "请求缓慢"},
    "startsAt": "2026-01-01T00:00:00Z",
}


def bring(client: TestClient, *alerts: dict[str, Any], token: str = TOKEN) -> Any:
    """Bring alerts as Alertmanager does, with what we do not read."""
    body = {"version": "4", "groupKey": "{}", "receiver": "panel", "alerts": alerts}
    answer = client.post(
        "/api/alerts/alertmanager", json=body, headers={"Authorization": f"Bearer {token}"}
    )
    return answer.json().get("changed", answer.json())


def test_alerts_from_outside_stand_among_ours_until_they_are_over(
    operated: TestClient, edge: Edge, root: Person
) -> None:
    def listed() -> list[tuple[str, str, bool, int]]:
        answer = operated.get("/api/alerts/list", headers=root.headers).json()
        return [
            (one["severity"], one["message"], one["resolved"], one["count"])
            for one in answer["alerts"]
            if one["alert_type"] == "monitored"
        ]

    text = "Monitoring says (ApiSlow): One of a hundred is slow"
    assert bring(operated, ALERT) == 1
    assert bring(operated, ALERT) == 0  # it is told again and again while it lasts
    assert listed() == [("warning", text, False, 2)]
    other = {**ALERT, "fingerprint": "ff", "labels": {"alertname": "X", "severity": "page"}}
    over = {**ALERT, "status": "resolved"}
    assert bring(operated, other, over) == 2
    assert bring(operated, over) == 0
    assert [one[2] for one in listed()] == [False, True]


def test_who_has_no_token_brings_no_alerts(operated: TestClient) -> None:
    answer = bring(operated, ALERT, token="guessed")
    assert answer["error"]["code"] == "system.metrics_token_wrong"
    strange = operated.post(
        "/api/alerts/alertmanager",
        json={"version": "4", "alerts": [{**ALERT, "fingerprint": "../x"}]},
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    assert strange.status_code == 422
