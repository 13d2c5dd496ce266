"""Upgrades in the shell."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from derpman import cli_server
from derpman.kit.work import Edge
from derpman.servers import rollouts
from derpman.servers.release import BuiltImage, BuiltProgram
from derpman.servers.states import UpgradeStatus
from derpman.wiring import System

run = CliRunner().invoke


@pytest.fixture
def servers(
    add_server: Callable[..., int], system: System, monkeypatch: pytest.MonkeyPatch
) -> list[int]:
    from derpman.servers import release

    monkeypatch.setattr(cli_server, "_system", lambda: system)
    folder = system.settings.build_dir
    image = BuiltImage(folder / "relay-image.tar", "derper-2.0.0-111111111111", 9, "c" * 64)
    program = BuiltProgram(folder / "derpman-node", "0.2.0", 9, "a" * 64)
    monkeypatch.setattr(release, "built_image", lambda _folder: image)
    monkeypatch.setattr(release, "built_program", lambda _folder: program)
    return [add_server() for _ in range(2)]


def test_an_upgrade_is_begun_shown_paused_and_aborted(edge: Edge, servers: list[int]) -> None:
    assert run(cli_server.app, ["upgrade"]).exit_code == 2, "servers, or all of them"
    begun = run(cli_server.app, ["upgrade", "--all", "--no-follow"])
    assert begun.exit_code == 0, begun.output
    assert "node 0.2.0" in begun.output
    shown = run(cli_server.app, ["upgrade-control", "1"])
    assert f"server {servers[0]}: running" in shown.output
    assert f"server {servers[1]}: waiting" in shown.output
    assert run(cli_server.app, ["upgrade-control", "1", "pause"]).exit_code == 0
    assert edge.read(rollouts.get, 1).status is UpgradeStatus.PAUSED
    assert run(cli_server.app, ["upgrade-control", "1", "abort"]).exit_code == 0
    assert edge.read(rollouts.get, 1).status is UpgradeStatus.ABORTED
    assert run(cli_server.app, ["upgrade-control", "1", "explode"]).exit_code == 2


def test_following_ends_with_the_upgrade(edge: Edge, servers: list[int]) -> None:
    assert run(cli_server.app, ["upgrade", str(servers[1]), "--no-follow"]).exit_code == 0
    edge(rollouts.abort, upgrade_id=1)
    said = run(cli_server.app, ["upgrade-control", "1", "show"])
    assert "Upgrade 1 is aborted." in said.output
