"""A private Prometheus and Alertmanager with the files of `deploy/`, told where to look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2 as httpx
import yaml

from tests.system.processes import ROOT
from tests.system.services import HOST, Service

DEPLOY = ROOT / "deploy"
TOKEN_FILE = "metrics.token"  # a name


class Alertmanager(Service):
    """Hands on what it is told within a second, to the panel at an address."""

    name, package = "Alertmanager", "prometheus-alertmanager"

    def __init__(self, panel: str, token: str) -> None:
        self._panel = panel
        self._token = token
        super().__init__()

    def _require(self) -> None:
        self._server = self._program("prometheus-alertmanager")

    def _install(self) -> None:
        config: dict[str, Any] = yaml.safe_load(
            (DEPLOY / "alertmanager" / "alertmanager.yml").read_text()
        )
        config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
        [webhook] = config["receivers"][0]["webhook_configs"]
        webhook["url"] = webhook["url"].replace("http://127.0.0.1:8000", self._panel)
        (self.folder / TOKEN_FILE).write_text(self._token)
        (self.folder / "alertmanager.yml").write_text(yaml.safe_dump(config))

    def _command(self) -> list[str | Path]:
        return [
            self._server,
            f"--config.file={self.folder / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={HOST}:{self.port}",
            "--cluster.listen-address=",
        ]

    def _answers(self) -> bool:
        return _is_ready(self.port)

    def fresh(self) -> str:
        return f"http://{HOST}:{self.port}"


class Prometheus(Service):
    """Asks API processes every three seconds, with our rules."""

    name, package = "Prometheus", "prometheus"

    def __init__(self, targets: list[str], token: str, alertmanager: int) -> None:
        self._targets = targets
        self._token = token
        self._alertmanager = alertmanager
        super().__init__()

    def _require(self) -> None:
        self._server = self._program("prometheus")

    def _install(self) -> None:
        folder = DEPLOY / "prometheus"
        config: dict[str, Any] = yaml.safe_load((folder / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "3s", "evaluation_interval": "3s"}
        config["scrape_configs"][0]["static_configs"][0]["targets"] = self._targets
        [manager] = config["alerting"]["alertmanagers"]
        manager["static_configs"][0]["targets"] = [f"{HOST}:{self._alertmanager}"]
        (self.folder / TOKEN_FILE).write_text(self._token)
        (self.folder / "rules.yml").write_text((folder / "rules.yml").read_text())
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    def _command(self) -> list[str | Path]:
        return [
            self._server,
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={HOST}:{self.port}",
        ]

    def _answers(self) -> bool:
        return _is_ready(self.port)

    def fresh(self) -> str:
        return f"http://{HOST}:{self.port}"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression now, those with a number."""
        answer = httpx.get(
            f"http://{HOST}:{self.port}/api/v1/query", params={"query": expression}, timeout=10
        ).json()
        assert answer["status"] == "success", answer
        return [one for one in answer["data"]["result"] if one["value"][1] != "NaN"]

    def firing(self) -> set[str]:
        """Return the names of alerts that are firing."""
        return {one["metric"]["alertname"] for one in self.query('ALERTS{alertstate="firing"}')}


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://{HOST}:{port}/-/ready", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
