"""Upgrades in the shell."""

from __future__ import annotations

import re
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


def begin(*words: str) -> str:
    """Begin an upgrade; the id that the shell was told. It need not be 1: what is retried skips."""
    begun = run(cli_server.app, ["upgrade", *words, "--no-follow"])
    assert begun.exit_code == 0, begun.output
    told = re.search(r"Upgrade (\d+): node 0\.2\.0", begun.output)
    assert told, begun.output
    return told[1]


def test_an_upgrade_is_begun_shown_paused_and_aborted(edge: Edge, servers: list[int]) -> None:
    assert run(cli_server.app, ["upgrade"]).exit_code == 2, "servers, or all of them"
    number = begin("--all")
    shown = run(cli_server.app, ["upgrade-control", number])
    assert f"server {servers[0]}: running" in shown.output
    assert f"server {servers[1]}: waiting" in shown.output
    assert run(cli_server.app, ["upgrade-control", number, "pause"]).exit_code == 0
    assert edge.read(rollouts.get, int(number)).status is UpgradeStatus.PAUSED
    assert run(cli_server.app, ["upgrade-control", number, "abort"]).exit_code == 0
    assert edge.read(rollouts.get, int(number)).status is UpgradeStatus.ABORTED
    assert run(cli_server.app, ["upgrade-control", number, "explode"]).exit_code == 2


def test_following_ends_with_the_upgrade(edge: Edge, servers: list[int]) -> None:
    number = begin(str(servers[1]))
    edge(rollouts.abort, upgrade_id=int(number))
    said = run(cli_server.app, ["upgrade-control", number, "show"])
    assert f"Upgrade {number} is aborted." in said.output
