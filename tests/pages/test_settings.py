"""The owner sees what the installation is set to, and no secret of it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from derpman.pages.settings_routes import SECTIONS
from derpman.settings import Settings
from derpman.wiring import System
from tests.conftest import Person

WEB = Path(__file__).parents[2] / "web" / "src" / "shared" / "i18n"


def test_only_the_owner_sees_the_settings(client: TestClient, carl: Person, root: Person) -> None:
    assert client.get("/api/admin/settings").status_code == 401
    assert client.get("/api/admin/settings", headers=carl.headers).status_code == 403
    found = client.get("/api/admin/settings", headers=root.headers).json()["settings"]
    told = {one["name"]: one for one in found}
    assert told["smtp_port"] == {
        "section": "mail",
        "name": "smtp_port",
        "variable": "DERPMAN_SMTP_PORT",
        "value": "587",
        "is_set": True,
        "is_default": True,
    }
    assert told["failover_automatic"]["value"] in {"true", "false"}
    assert (told["smtp_password"]["value"], told["smtp_password"]["is_set"]) == (None, False)


def test_a_secret_is_not_shown(
    client: TestClient, system: System, root: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = system.settings.model_copy(
        update={
            "smtp_password": SecretStr("hush-hush"),
            "second_factor_for": ["admin", "super_admin"],
        }
    )
    monkeypatch.setattr(client.app.state, "system", replace(system, settings=changed))  # type: ignore[attr-defined]
    answer = client.get("/api/admin/settings", headers=root.headers)
    assert "hush" not in answer.text
    told = {one["name"]: one for one in answer.json()["settings"]}
    assert told["smtp_password"]["is_set"]
    assert not told["smtp_password"]["is_default"]
    assert told["second_factor_for"]["value"] == "admin, super_admin"


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_setting_that_is_shown_has_a_name(language: str) -> None:
    words = (WEB / language / "installation.ts").read_text()
    names = [name for names in SECTIONS.values() for name in names]
    assert set(names) <= Settings.model_fields.keys()
    missing = [one for one in [*names, *SECTIONS] if not re.search(rf"\b{one}: \"", words)]
    assert missing == []
