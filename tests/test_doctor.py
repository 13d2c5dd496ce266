"""The doctor finds what an installation lacks, and says what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from derpman import doctor
from derpman.doctor import Finding
from derpman.finance import channels
from derpman.finance.models import Method
from derpman.kit.secrets import Vault, new_key
from derpman.kit.work import Edge
from derpman.monitoring import measuring
from derpman.servers.models import ServerLink
from derpman.wiring import System
from tests.conftest import MovableClock


@pytest.fixture
def now(clock: MovableClock) -> datetime:
    clock.now = datetime.now(UTC)  # as the database has it
    return clock.now


def found(system: System) -> dict[str, Finding]:
    return {one.what: one for one in doctor.examine(system)}


def test_an_empty_installation_lacks_mail_programs_servers_and_a_scheduler(
    system: System, now: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where nothing was built
    findings = found(system)
    bad = {what for what, one in findings.items() if not one.is_good}
    assert {"mail", "derpman-node", "derper", "relay image", "enough servers", "scheduler"} <= bad
    assert all(findings[what].advice for what in bad)
    good = {"data folder", "database", "migrations", "wake-ups", "clock", "payment by wallet"}
    assert good <= findings.keys() - bad


def test_a_server_that_reports_is_good_and_one_that_does_not_is_not(
    system: System, edge: Edge, now: datetime, add_server: Callable[..., int]
) -> None:
    near, far = add_server(), add_server()
    edge(
        lambda work: work.session.execute(
            update(ServerLink).where(ServerLink.server_id == near).values(contact_at=work.now)
        )
    )
    findings = {what.split(" (")[0]: one for what, one in found(system).items()}
    assert findings[f"server {near}"].is_good
    assert findings[f"server {far}"].found == "no contact"


def test_a_scheduler_that_stands_still_is_found(
    system: System, edge: Edge, now: datetime, clock: MovableClock
) -> None:
    edge(measuring.measure)
    clock.advance(seconds=60)
    assert found(system)["scheduler"].is_good
    clock.advance(seconds=300)
    assert found(system)["scheduler"].found == "a sweep ran 360 s ago"


def test_clocks_that_differ_are_found(system: System, now: datetime, clock: MovableClock) -> None:
    clock.advance(seconds=30)
    finding = found(system)["clock"]
    assert finding.is_good is (system.engine.dialect.name == "sqlite")


def test_payment_keys_that_cannot_be_read_are_found(
    system: System, edge: Edge, now: datetime
) -> None:
    edge(
        channels.set_credentials,
        method=Method.ALIPAY,
        version=0,
        is_enabled=True,
        credentials={"app_id": "1"},
    )
    assert found(system)["payment by alipay"].is_good
    lost = replace(system, vault=Vault([new_key()]))
    finding = found(lost)["payment by alipay"]
    assert not finding.is_good
    assert "secret.key" in finding.advice


def test_a_part_that_cannot_be_looked_at_is_a_finding_and_no_crash(
    system: System, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_system: System) -> object:
        raise OSError("refused")

    monkeypatch.setattr(doctor, "_database", refuse)
    findings = found(system)
    assert not findings["database"].is_good
    assert "DERPMAN_DATABASE_URL" in findings["database"].advice
    assert "wake-ups" in findings
