"""The files of `deploy/` agree with the program and with each other."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from derpman.settings import Settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
KNOWN = {f"DERPMAN_{name.upper()}" for name in Settings.model_fields}
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def test_only_settings_that_exist_are_set() -> None:
    for path in ("compose.yaml", "install.sh", "Dockerfile"):
        text = (DEPLOY / path).read_text()
        named = set(re.findall(r"^\s*(DERPMAN_[A-Z0-9_]+)[=:]", text, re.MULTILINE))
        assert named, path
        assert named - KNOWN == set(), path


def test_compose_mounts_what_is_there_and_asks_for_what_it_needs() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    for service in COMPOSE["services"].values():
        for mount in service.get("volumes", []):
            source = mount.partition(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), source
            elif not source.startswith("$"):
                assert source in COMPOSE["volumes"], source
    asked = set(re.findall(r"\$\{([A-Z_]+)", text))
    example = (DEPLOY / "compose" / "env.example").read_text()
    assert asked == set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))


def test_compose_has_two_of_what_must_not_stand_still() -> None:
    commands = [service.get("command") for service in COMPOSE["services"].values()]
    assert commands.count(["derpman", "serve", "--port", "8001"]) == 2
    assert commands.count(["derpman", "worker"]) == 2


@pytest.mark.parametrize(
    ("original", "copy", "changes"),
    [
        (
            "prometheus/prometheus.yml",
            "compose/prometheus.yml",
            {
                "127.0.0.1:9093": "alertmanager:9093",
                '"127.0.0.1:8001", "127.0.0.1:8002"': '"api:8001", "api2:8001"',
            },
        ),
        (
            "alertmanager/alertmanager.yml",
            "compose/alertmanager.yml",
            {"http://127.0.0.1:8000": "http://api2:8001"},
        ),
        (
            "grafana/provisioning/datasources/derpman.yml",
            "compose/datasource.yml",
            {"http://127.0.0.1:9090": "http://prometheus:9090"},
        ),
    ],
)
def test_containers_get_the_same_files_with_other_names(
    original: str, copy: str, changes: dict[str, str]
) -> None:
    text = (DEPLOY / original).read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    assert (DEPLOY / copy).read_text() == text


def test_dashboards_are_provisioned_with_their_source() -> None:
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/derpman.yml").read_text())
    uids = {one["uid"] for one in source["datasources"]}
    ids: set[str] = set()
    for path in sorted((DEPLOY / "grafana/dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        assert board["uid"] == path.stem
        ids.add(board["uid"])
        for panel in board["panels"]:
            assert panel["title"]
            assert panel["targets"]
            assert {target["datasource"]["uid"] for target in panel["targets"]} <= uids
    assert len(ids) == 3


def test_units_are_what_systemd_takes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: Debian package systemd")
    for path in (DEPLOY / "systemd").iterdir():
        text = path.read_text().replace("/opt/derpman/venv/bin/derpman", "/bin/true")
        (tmp_path / path.name).write_text(text)
    done = subprocess.run(
        [
            "systemd-analyze", "verify", "--man=no",
            tmp_path / "derpman-api@8001.service", tmp_path / "derpman-worker@1.service",
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert "derpman" not in done.stderr, done.stderr


def test_scripts_are_sound() -> None:
    for path in (DEPLOY / "install.sh", ROOT / "tools" / "release.sh"):
        assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
        assert path.stat().st_mode & 0o111
