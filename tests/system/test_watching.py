"""Prometheus, Alertmanager and the dashboards, against a real system with relays."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import yaml

from tests.system.processes import ROOT, Impossible, Process, spawn, wait_until
from tests.system.services import HOST, free_port
from tests.system.watching import DEPLOY, Alertmanager, Prometheus
from tests.system.website import website

TOKEN = "of-the-tests-alone"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
METRIC = re.compile(r"\bderpman_[a-z0-9_]+|\bprocess_[a-z0-9_]+")


@dataclass
class Watched:
    """A demo with a customer, a second API process, and what watches them."""

    url: str
    folder: Path
    prometheus: Prometheus
    admin: dict[str, str]
    second: Process
    second_port: int

    def start_second(self) -> None:
        self.second = second_api(self.folder, self.second_port)


def second_api(folder: Path, port: int) -> Process:
    return spawn(
        [sys.executable, "-m", "derpman", "serve", "--port", str(port)],
        log=folder / "second.log",
        env={
            "DERPMAN_DATA_DIR": str(folder / "data"),
            "DERPMAN_METRICS_TOKEN": TOKEN,
            "DERPMAN_WEB_DIR": str(folder / "none"),
        },
    )


def logged_in(url: str, name: str, password: str) -> dict[str, str]:
    body = {"email": f"{name}@example.com", "password": password}
    answer = httpx.post(f"{url}/api/user/login", json=body, timeout=30).json()
    return {"Authorization": f"Bearer {answer['token']}"}


def post(url: str, headers: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
    answer = httpx.post(url, headers=headers, json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with ExitStack() as stack:
        known = stack.enter_context(website(METRICS_TOKEN=TOKEN, PROBE_SECONDS="1"))
        url = known["WEB_URL"]
        folder = Path(known["WEB_MAILBOX"]).parent
        port = free_port()
        second = second_api(folder, port)
        stack.callback(second.stop, 30)
        try:
            manager = stack.enter_context(Alertmanager(url, TOKEN))
            targets = [url.removeprefix("http://"), f"{HOST}:{port}"]
            prometheus = stack.enter_context(Prometheus(targets, TOKEN, manager.port))
        except Impossible as error:
            pytest.skip(str(error))
        logins = json.loads(Path(known["WEB_LOGINS"]).read_text())
        admin = logged_in(url, "demo-admin", logins["demo-admin"])
        customer = logged_in(url, "demo-customer", logins["demo-customer"])
        made = post(f"{url}/api/serial/generate", admin, {"duration_days": 30})

        def activated() -> bool:
            wish = {"code": made["serial_numbers"][0]}
            answer = httpx.post(f"{url}/api/user/activate", headers=customer, json=wish, timeout=30)
            return answer.status_code == 200

        wait_until(activated, 120, "three servers are healthy and an activation goes through")
        post(f"{url}/api/server/1/update", admin, {"monthly_allowance_bytes": 10**12})
        yield Watched(url, folder, prometheus, admin, second, port)


def expressions() -> list[tuple[str, str]]:
    """Every query of every panel: (dashboard and panel, expression)."""
    return [
        (f"{path.stem}: {panel['title']}", target["expr"])
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        for target in panel["targets"]
    ]


def test_every_panel_of_every_dashboard_shows_something(watched: Watched) -> None:
    assert len(expressions()) > 30
    empty: list[tuple[str, str]] = []

    def is_full() -> bool:
        empty[:] = [
            (where, query) for where, query in expressions() if not watched.prometheus.query(query)
        ]
        return not empty

    try:
        wait_until(is_full, 150, "every panel has data")  # latencies are measured each minute
    except AssertionError:
        pytest.fail(f"panels without data: {empty}")
    wait_until(
        lambda: watched.prometheus.query('sum(up{job="derpman"}) == 2'), 60, "both are asked"
    )


def test_rules_name_only_what_the_system_tells(watched: Watched) -> None:
    answer = httpx.get(
        f"{watched.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30
    )
    told = set(re.findall(r"^(?:# TYPE )?([a-z0-9_]+)[{ ]", answer.text, re.MULTILINE))
    rules = (DEPLOY / "prometheus" / "rules.yml").read_text()
    named = {
        name for text in (rules, *(e for _, e in expressions())) for name in METRIC.findall(text)
    }
    assert len(named) > 25
    assert named - told == set()


def test_a_quiet_system_raises_nothing(watched: Watched) -> None:
    wait_until(
        lambda: watched.prometheus.query("derpman:relays_not_ready == 0"), 60, "the relays run"
    )
    assert watched.prometheus.firing() == set()


def test_an_alert_travels_to_the_panel_and_goes_when_it_is_over(watched: Watched) -> None:
    def ours(*, resolved: bool) -> list[dict[str, Any]]:
        answer = httpx.get(
            f"{watched.url}/api/alerts/list",
            headers=watched.admin,
            params={"alert_type": "monitored", "resolved": resolved},
            timeout=30,
        ).json()
        return [one for one in answer["alerts"] if "ApiProcessDown" in one["message"]]

    watched.second.kill()
    [alert] = wait_until(lambda: ours(resolved=False), 180, "the alert is among the panel's")
    assert alert["severity"] == "critical"
    assert str(watched.second_port) in alert["message"]
    watched.start_second()
    try:
        wait_until(lambda: ours(resolved=True), 120, "the alert is over")
    finally:
        watched.second.stop(30)


def test_the_rules_raise_what_they_should() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is missing: Debian package prometheus")
    folder = DEPLOY / "prometheus"
    done = subprocess.run(
        ["promtool", "test", "rules", "rules_test.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rules = yaml.safe_load((folder / "rules.yml").read_text())
    names = {one["alert"] for group in rules["groups"] for one in group["rules"] if "alert" in one}
    tested = set(re.findall(r"alertname: (\w+)", (folder / "rules_test.yml").read_text()))
    assert names == tested
    told = (ROOT / "docs" / "alerts.md").read_text()
    assert {name for name in names if f"`{name}`" not in told} == set()
