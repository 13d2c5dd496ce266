"""Activation in the shell."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from derpman import cli
from derpman.alerts.models import SystemAlert
from derpman.containers.errors import NotEnoughServers
from derpman.kit.work import Edge
from derpman.rentals.service import SHORT_OF_SERVERS
from derpman.serials import service as serials
from derpman.wiring import System
from tests.conftest import Person


def test_want_of_servers_is_told_to_admins(
    edge: Edge,
    system: System,
    carl: Person,
    add_server: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cli, "_system", lambda *_args, **_kwargs: system)
    add_server()
    code = edge(serials.generate, duration_days=30)[0].code
    said = CliRunner().invoke(cli.app, ["rental", "activate", carl.username, code])
    assert isinstance(said.exception, NotEnoughServers)
    found = select(SystemAlert.alert_type).where(SystemAlert.resolved.is_(False))
    assert edge.read(lambda work: list(work.session.scalars(found))) == [SHORT_OF_SERVERS]
