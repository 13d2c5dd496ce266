"""Live streams end with the session that opened them."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request

from derpman.access import service, tokens
from derpman.access.states import TokenScope
from derpman.api import Gate
from derpman.kit.work import Edge
from derpman.wiring import System
from tests.conftest import Person


def request(token: str) -> Request:
    headers = [(b"authorization", f"Bearer {token}".encode())]
    return Request({"type": "http", "headers": headers})


def test_who_still_may_watch_is_one_statement_for_all(
    system: System, carl: Person, eve: Person, statements: list[str]
) -> None:
    gate = Gate(system)
    nobodys = Request({"type": "http", "headers": []})
    requests = [request(carl.token), request(eve.token), request("another's"), nobodys]
    statements.clear()
    assert gate.still_may(requests) == [True, True, False, False]
    assert len([one for one in statements if one.startswith("SELECT")]) == 1


def test_an_ended_session_may_not_watch(
    system: System, edge_of: Callable[..., Edge], carl: Person, eve: Person
) -> None:
    gate = Gate(system)
    assert gate.still_may([request(carl.token)]) == [True]
    run = edge_of(carl.actor)
    [session] = run.read(service.sessions)
    run(service.end_session, session_id=session.id)
    assert gate.still_may([request(carl.token), request(eve.token)]) == [False, True]


def test_a_revoked_api_token_may_not_watch(
    system: System, edge_of: Callable[..., Edge], carl: Person
) -> None:
    gate, run = Gate(system), edge_of(carl.actor)
    token, row = run(tokens.issue, name="watcher", scope=TokenScope.READ, days=1)
    assert gate.still_may([request(token)]) == [True]
    run(tokens.revoke, token_id=row.id)
    gate.doorkeeper.heard("sessions")
    assert gate.still_may([request(token)]) == [False]
