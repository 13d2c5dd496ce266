"""The commands that empty servers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from derpman import cli_server
from derpman.ha import queries, service
from derpman.kit.work import Edge
from derpman.rentals import service as rentals
from derpman.serials import service as serials
from derpman.servers.models import Server
from derpman.servers.states import ServerStatus
from derpman.wiring import System
from tests.conftest import Person

AddServer = Callable[..., int]
run = CliRunner().invoke


@pytest.fixture
def servers(add_server: AddServer, system: System, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    monkeypatch.setattr(cli_server, "_system", lambda: system)
    return [add_server() for _ in range(4)]


def test_drain_and_undrain(edge: Edge, servers: list[int]) -> None:
    said = run(cli_server.app, ["drain", str(servers[0])])
    assert said.exit_code == 0, said.output
    assert edge.read(lambda work: work.session.get_one(Server, servers[0])).draining_at
    assert run(cli_server.app, ["undrain", str(servers[0])]).exit_code == 0
    assert not edge.read(lambda work: work.session.get_one(Server, servers[0])).draining_at


def test_an_empty_server_is_drained_and_given_up_at_once(edge: Edge, servers: list[int]) -> None:
    assert run(cli_server.app, ["drain", str(servers[0]), "--move"]).exit_code == 0
    said = run(cli_server.app, ["give-up", str(servers[1]), "--reason", "stolen"])
    assert said.exit_code == 0, said.output
    status = edge.read(lambda work: work.session.get_one(Server, servers[1])).status
    assert status is ServerStatus.GIVEN_UP
    assert run(cli_server.app, ["give-up", str(servers[1])]).exit_code == 2, "a reason is wanted"


def test_failover_says_what_it_does(edge: Edge, servers: list[int]) -> None:
    said = run(cli_server.app, ["failover"])
    assert "0 relays" in said.output
    assert edge.read(queries.emptying, server_id=servers[0]).is_done


def test_how_far_a_server_is(
    edge: Edge, edge_of: Callable[..., Edge], carl: Person, servers: list[int]
) -> None:
    code = edge(serials.generate, duration_days=30)[0].code
    edge_of(carl.actor)(rentals.activate, code=code, user_id=carl.id)
    busy = next(
        one for one in servers if edge.read(lambda work, id_=one: work.session.get_one(
            Server, id_)).relay_count
    )  # fmt: skip
    edge(service.leave, server_id=busy)
    left = edge.read(queries.emptying, server_id=busy)
    assert (left.relays, left.waiting, left.is_done) == (1, 1, False)
