"""The secret address: what headscale gets, how soon a change is honoured, what it costs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from fastapi import FastAPI
from sqlalchemy import MetaData, select, text
from starlette.testclient import TestClient

from derpman.acl import addresses
from derpman.acl.address_routes import is_named
from derpman.acl.models import AclAddress, AclDownload
from derpman.acl.offers import Offers
from derpman.kit.secrets import token_hash
from derpman.kit.work import NOBODY, Edge
from derpman.rentals import service as rentals
from derpman.wiring import System
from tests.acl.conftest import Activate, Issue
from tests.conftest import MovableClock, Person

SITE = "https://derp.example"
ALMOST_A_SECOND = 0.95


def state_of(client: TestClient) -> Any:
    return cast("FastAPI", client.app).state


class Seconds:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds(client: TestClient) -> Seconds:
    """The clock by which the application remembers addresses."""
    made = Seconds()
    state_of(client).offers.monotonic = made
    return made


@pytest.fixture
def path(client: TestClient, carl: Person, activate: Activate) -> str:
    """The path of Carl's address."""
    activate(carl)
    made = client.post("/api/acl/address", headers=carl.headers).json()["address"]["url"]
    assert made.startswith(f"{SITE}/derp/")
    return made.removeprefix(SITE)


def fetches(edge: Edge) -> list[AclDownload]:
    return edge.read(
        lambda work: list(work.session.scalars(select(AclDownload).order_by(AclDownload.id)))
    )


def test_address_gives_the_bare_map_that_headscale_expects(
    client: TestClient, path: str, carl: Person
) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-cache"
    assert list(answer.json()) == ["OmitDefaultRegions", "Regions"]
    file = client.get("/api/acl/download?form=headscale_json", headers=carl.headers)
    assert answer.content == file.content
    assert answer.headers["etag"] == file.headers["etag"]


def test_unchanged_is_304_and_asks_the_database_nothing(
    client: TestClient, path: str, seconds: Seconds, statements: list[str]
) -> None:
    etag = client.get(path).headers["etag"]
    statements.clear()
    for header in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = client.get(path, headers={"If-None-Match": header})
        assert answer.status_code == 304
        assert answer.content == b""
        assert answer.headers["etag"] == etag
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    assert statements == []
    seconds.now += ALMOST_A_SECOND
    client.get(path, headers={"If-None-Match": etag})
    assert len(statements) == 2, statements


@pytest.mark.parametrize(
    ("header", "named"), [("", False), ('"a"', True), ('"b" , W/"a"', True), ('"ab"', False)]
)
def test_if_none_match(header: str, named: bool) -> None:
    assert is_named(header, '"a"') is named


def test_next_version_is_given_within_a_second(
    client: TestClient, path: str, seconds: Seconds, carl: Person, issue: Issue
) -> None:
    etag = client.get(path).headers["etag"]
    document = issue(carl, ports=1).document
    seconds.now += ALMOST_A_SECOND
    answer = client.get(path, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.text) == (200, document)


def test_revoked_address_is_unknown_within_a_second(
    client: TestClient, path: str, seconds: Seconds, carl: Person
) -> None:
    assert client.get(path).status_code == 200
    assert client.post("/api/acl/address/revoke", headers=carl.headers).status_code == 200
    seconds.now += ALMOST_A_SECOND
    revoked, unknown = client.get(path), client.get("/derp/nonsense.json")
    assert (revoked.status_code, revoked.json()) == (404, unknown.json())
    assert {**revoked.headers} == {**unknown.headers}
    again = client.post("/api/acl/address", headers=carl.headers).json()["address"]["url"]
    assert again != SITE + path
    assert client.get(again.removeprefix(SITE)).status_code == 200
    assert client.get(path).status_code == 404


def test_ended_rental_is_unknown_within_a_second(
    client: TestClient, path: str, seconds: Seconds, carl: Person, edge: Edge, activate: Activate
) -> None:
    assert client.get(path).status_code == 200
    rental = edge.read(rentals.open_rental, carl.id)
    assert rental is not None
    edge(rentals.end, rental_id=rental.id, reason="test")
    seconds.now += ALMOST_A_SECOND
    assert client.get(path).status_code == 404
    activate(carl)  # the address outlives a rental
    assert client.get(path).status_code == 200


def test_rental_that_is_over_and_not_swept_gives_nothing(
    client: TestClient, path: str, clock: MovableClock, issue: Issue, carl: Person
) -> None:
    clock.advance(days=180)
    issue(carl)
    assert client.get(path).status_code == 404


def test_owner_sees_his_address_and_has_one(client: TestClient, path: str, carl: Person) -> None:
    shown = client.get("/api/acl/address", headers=carl.headers).json()["address"]
    assert shown["url"] == SITE + path
    assert shown["fetched_at"] is None
    again = client.post("/api/acl/address", headers=carl.headers)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "acl.address_exists")
    client.get(path)
    assert client.get("/api/acl/address", headers=carl.headers).json()["address"]["fetched_at"]
    client.post("/api/acl/address/revoke", headers=carl.headers)
    assert client.get("/api/acl/address", headers=carl.headers).json()["address"] is None


def test_addresses_made_at_once_are_one(
    edge: Edge, edge_of: Callable[..., Edge], carl: Person
) -> None:
    results: list[Any] = []

    def make() -> None:
        try:
            results.append(edge_of(carl.actor)(addresses.create))
        except addresses.AddressExists as error:
            results.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(one, AclAddress) for one in results) == 1
    assert len(results) == 6


def test_token_is_nowhere_in_the_clear(edge: Edge, system: System, path: str, caplog: Any) -> None:
    token = path.removeprefix("/derp/").removesuffix(".json")
    written = MetaData()
    written.reflect(system.engine)
    for table in written.tables.values():
        rows = edge.read(lambda work, table=table: work.session.execute(select(table)).all())
        assert token not in str(rows), table.name
    assert token not in caplog.text


def test_address_whose_key_was_lost_is_shown_without_its_url_and_can_be_revoked(
    client: TestClient, path: str, carl: Person, edge: Edge
) -> None:
    edge(lambda work: work.session.execute(text("UPDATE acl_addresses SET token = 'x'")))
    assert client.get("/api/acl/address", headers=carl.headers).json()["address"]["url"] is None
    assert client.post("/api/acl/address/revoke", headers=carl.headers).status_code == 200


def test_polls_are_logged_once_an_hour_for_each_place_and_version(
    client: TestClient,
    path: str,
    system: System,
    edge: Edge,
    carl: Person,
    issue: Issue,
    clock: MovableClock,
    seconds: Seconds,
) -> None:
    token = path.removeprefix("/derp/").removesuffix(".json")
    etag = client.get(path, headers={"User-Agent": "headscale/0.26.1"}).headers["etag"]
    client.get(path)
    client.get(path, headers={"If-None-Match": etag})
    [first] = fetches(edge)
    assert (first.username, first.acl_version, first.form) == ("carl", "1", "headscale_address")
    assert first.machine_code == f"address:{token_hash(token)[:16]}"
    assert first.browser == "headscale 0"
    # Another process, which remembers nothing, finds it logged; another place is logged anew.
    other = Offers(system.edge())
    visitor = replace(NOBODY, ip="testclient")
    assert other.ask(system.edge(visitor), token)
    assert len(fetches(edge)) == 1
    assert other.ask(system.edge(replace(visitor, ip="198.51.100.20")), token)
    assert [one.ip_address for one in fetches(edge)] == ["testclient", "198.51.100.20"]
    clock.advance(hours=1)
    client.get(path)
    assert len(fetches(edge)) == 3
    issue(carl, ports=1)
    seconds.now += 1
    client.get(path)
    assert [one.acl_version for one in fetches(edge)] == ["1", "1", "1", "2"]


def test_first_polls_at_once_are_logged_once(
    system: System, edge: Edge, path: str, statements: list[str]
) -> None:
    token = path.removeprefix("/derp/").removesuffix(".json")
    processes = [Offers(system.edge()) for _ in range(4)]
    run = system.edge(replace(NOBODY, ip="198.51.100.30"))
    threads = [threading.Thread(target=one.ask, args=(run, token)) for one in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.ip_address for one in fetches(edge)] == ["198.51.100.30"]


class SlowEdge:
    """An edge whose reads wait until they are let go; counts them."""

    def __init__(self, edge: Edge) -> None:
        self.edge, self.reads, self.go = edge, 0, threading.Event()

    def read(self, *arguments: Any, **named: Any) -> Any:
        self.reads += 1
        assert self.go.wait(20)
        return self.edge.read(*arguments, **named)


@pytest.fixture
def slow(edge: Edge) -> Iterator[SlowEdge]:
    made = SlowEdge(edge)
    yield made
    made.go.set()


def ask_at_once(offers: Offers, tokens: list[str], slow: SlowEdge) -> list[Any]:
    """Ask for the first token, and for the others while the database still thinks."""
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda token=token: found.append(offers.find(token)))
        for token in tokens
    ]
    threads[0].start()
    while not slow.reads:
        time.sleep(0.001)
    for thread in threads[1:]:
        thread.start()
    while set(offers._waiting) | set(offers._asked) != {token_hash(token) for token in tokens}:
        time.sleep(0.001)
    slow.go.set()
    for thread in threads:
        thread.join()
    assert (offers._asked, offers._waiting) == ({}, {})
    return found


def test_of_callers_of_one_address_at_once_one_asks_the_database(path: str, slow: SlowEdge) -> None:
    token = path.removeprefix("/derp/").removesuffix(".json")
    found = ask_at_once(Offers(cast("Edge", slow)), [token] * 8, slow)
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    assert slow.reads == 1


def test_addresses_asked_for_meanwhile_cost_one_question_together(
    path: str,
    slow: SlowEdge,
    edge_of: Callable[..., Edge],
    person: Callable[..., Person],
    activate: Activate,
) -> None:
    tokens = ["unknown", path.removeprefix("/derp/").removesuffix(".json")]
    for name in ("dora", "emil", "frida"):
        customer = person(name)
        activate(customer)
        run = edge_of(customer.actor)
        made = run(addresses.create)
        tokens.append(run.read(lambda work, made=made: work.vault.open(made.token)))
    found = ask_at_once(Offers(cast("Edge", slow)), tokens, slow)
    assert sorted(one.username for one in found if one) == ["carl", "dora", "emil", "frida"]
    assert found.count(None) == 1
    assert slow.reads == 2


class BrokenEdge:
    def read(self, *arguments: Any, **named: Any) -> Any:
        raise OSError("the database is away")


def test_trouble_of_ours_is_told_in_words_which_headscale_takes_for_no_map(
    client: TestClient, path: str
) -> None:
    state_of(client).offers = Offers(cast("Edge", BrokenEdge()))
    for _ in range(2):  # and is not remembered
        answer = client.get(path)
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        with pytest.raises(json.JSONDecodeError):
            answer.json()


def test_what_is_unknown_is_not_remembered(client: TestClient) -> None:
    offers: Offers = state_of(client).offers
    for number in range(5):
        assert client.get(f"/derp/{number}.json").status_code == 404
    assert not offers._known
    assert not offers._noted
