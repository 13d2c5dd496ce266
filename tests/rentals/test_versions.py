"""The next ACL: at an admin's wish, for a server, and with other region ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update
from starlette.testclient import TestClient

from derpman.acl import service as acl
from derpman.acl.models import AclLog, AclVersion
from derpman.containers import service as containers
from derpman.containers.models import Placement
from derpman.containers.states import Wanted
from derpman.kit.work import Edge
from derpman.logs.models import SystemLog
from derpman.rentals import service
from derpman.rentals.models import Rental, SlotMove
from derpman.rentals.states import MoveStatus
from derpman.servers.models import Server
from derpman.servers.states import ServerStatus
from tests.conftest import MovableClock, Person, QueuedMail
from tests.rentals.conftest import Activate

AddServer = Callable[..., int]


def rows(edge: Edge, statement: Any) -> list[Any]:
    return edge.read(lambda work: list(work.session.scalars(statement)))


def code_of(answer: Any) -> str:
    return answer.json()["error"]["code"]


def generate(client: TestClient, who: Person, **body: Any) -> Any:
    return client.post("/api/acl/generate", json=body, headers=who.headers)


def empty_slots(edge: Edge, rental: Rental, *slots: int) -> None:
    """Take relays away as no verb of this version does."""
    edge(
        lambda work: work.session.execute(
            update(Placement)
            .where(Placement.rental_id == rental.id, Placement.slot.in_(slots))
            .values(wanted=Wanted.RELEASED)
        )
    )


def placed(edge: Edge, person: Person) -> dict[int, int]:
    placements = edge.read(containers.placements_of, user_id=person.id)
    return {one.slot: one.server_id for one in placements}


def test_owners_route_makes_a_version_of_the_relays_in_place(
    client: TestClient,
    edge: Edge,
    servers: list[int],
    carl: Person,
    root: Person,
    activate: Activate,
    clock: MovableClock,
) -> None:
    activate(carl)
    before = edge.read(acl.current, user_id=carl.id)
    assert before is not None
    relays = placed(edge, carl)
    clock.advance(days=20)
    answer = generate(client, root, user_id=carl.id, server_ids=servers[:2])
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["success"] is True
    assert sorted(body["acl"]["Regions"]) == ["931", "932", "933"]
    assert (body["version"]["version"], body["version"]["reason"]) == (2, "generated")
    after = edge.read(acl.current, user_id=carl.id)
    assert after is not None
    assert after.document == before.document
    assert after.expires_at - before.expires_at == clock.now - before.created_at
    assert placed(edge, carl) == relays
    [_, log] = rows(edge, select(AclLog).order_by(AclLog.id))
    assert (log.user_id, log.actor_name, log.ip_address) == (carl.id, "root_", "testclient")
    assert "acl.generate" in rows(edge, select(SystemLog.action))


def test_a_wished_server_where_he_is_not_gets_one_of_his_relays(
    client: TestClient,
    edge: Edge,
    servers: list[int],
    carl: Person,
    root: Person,
    activate: Activate,
    add_server: AddServer,
) -> None:
    activate(carl)
    other = add_server()
    assert code_of(generate(client, root, user_id=carl.id, server_ids=[999])) == "servers.not_found"
    answer = generate(client, root, user_id=carl.id, server_ids=[servers[0], other])
    assert answer.status_code == 200, answer.text
    relays = edge.read(containers.placements_of, user_id=carl.id)
    assert len(relays) == 4, "the one that moves serves until the new map is in use"
    made = next(one for one in relays if one.server_id == other)
    named = {
        node["IPv4"]: node["DERPPort"]
        for region in answer.json()["acl"]["Regions"].values()
        for node in region["Nodes"]
    }
    assert named[made.address] == made.port
    kept = next(one for one in relays if one.server_id == servers[0])
    assert named[kept.address] == kept.port
    [move] = rows(edge, select(SlotMove))
    assert (move.status, move.to_server_id) == (MoveStatus.SWITCHED, other)
    assert edge.read(acl.current, user_id=carl.id).id == move.version_id  # type: ignore[union-attr]


def test_empty_slots_are_filled_on_the_wished_servers_first(
    client: TestClient,
    edge: Edge,
    servers: list[int],
    carl: Person,
    root: Person,
    activate: Activate,
    add_server: AddServer,
) -> None:
    rental = activate(carl)
    before = placed(edge, carl)
    empty_slots(edge, rental, 1, 3)
    wished, _ = add_server(), add_server()
    answer = generate(client, root, user_id=carl.id, server_ids=[wished, wished])
    assert answer.status_code == 200, answer.text
    after = placed(edge, carl)
    assert after[1] == wished
    assert after[2] == before[2]
    assert after[3] not in {wished, before[2]}
    assert sorted(answer.json()["acl"]["Regions"]) == ["931", "932", "933"]
    assert len(rows(edge, select(AclVersion))) == 2  # one for both


def test_slot_without_a_fit_server_stays_empty_and_a_wished_one_is_an_error(
    client: TestClient,
    edge: Edge,
    servers: list[int],
    carl: Person,
    root: Person,
    activate: Activate,
) -> None:
    rental = activate(carl)
    before = placed(edge, carl)
    empty_slots(edge, rental, 3)
    edge(
        lambda work: work.session.execute(
            update(Server).where(Server.id == before[3]).values(status=ServerStatus.UNHEALTHY)
        )
    )
    answer = generate(client, root, user_id=carl.id)
    assert sorted(answer.json()["acl"]["Regions"]) == ["931", "932"]
    answer = generate(client, root, user_id=carl.id, server_ids=[before[3]])
    assert (answer.status_code, code_of(answer)) == (409, "containers.server_not_fit")
    assert len(rows(edge, select(AclVersion))) == 2


def test_who_has_no_running_rental_gets_no_acl(
    client: TestClient, edge: Edge, carl: Person, root: Person, activate: Activate, servers: list
) -> None:
    assert code_of(generate(client, root, user_id=carl.id)) == "rentals.none_open"
    assert code_of(generate(client, root, user_id=4242)) == "users.not_found"
    rental = activate(carl)
    edge(service.suspend_user, user_id=carl.id, reason="abuse")
    assert code_of(generate(client, root, user_id=carl.id)) == "users.suspended"
    edge(service.reinstate_user, user_id=carl.id)
    edge(service.end, rental_id=rental.id, reason="test")
    assert code_of(generate(client, root, user_id=carl.id)) == "rentals.none_open"


def test_only_admins_generate(client: TestClient, carl: Person, rita: Person) -> None:
    for path, body in (
        ("generate", {"user_id": carl.id, "server_ids": [1, 2]}),
        ("generate_for_server", {"server_id": 1}),
        ("rotate", {"user_id": carl.id}),
    ):
        for who in (carl, rita):
            answer = client.post(f"/api/acl/{path}", json=body, headers=who.headers)
            assert answer.status_code == 403
        assert client.post(f"/api/acl/{path}", json=body).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user_id": 0},
        {"user_id": "x"},
        {"user_id": 1, "server_ids": [1, 2, 3, 4]},
        {"user_id": 1, "server_ids": [0]},
        {"user_id": 1, "reason": "x" * 65},
        {"user_id": 1, "more": 1},
    ],
)
def test_bad_bodies_are_refused(client: TestClient, root: Person, body: dict[str, Any]) -> None:
    assert generate(client, root, **body).status_code == 422


def test_customer_takes_other_region_ids(
    client: TestClient,
    edge: Edge,
    servers: list[int],
    carl: Person,
    eve: Person,
    activate: Activate,
    follow: Callable[..., None],
    mails: Callable[[str], list[QueuedMail]],
) -> None:
    activate(carl)
    ports = {
        one.slot: (one.server_id, one.port, one.generation)
        for one in edge.read(containers.placements_of, user_id=carl.id)
    }

    def choose(who: Person, base: int) -> Any:
        return client.post("/api/acl/regions", json={"region_base": base}, headers=who.headers)

    answer = choose(carl, 940)
    assert sorted(answer.json()["acl"]["Regions"]) == ["940", "941", "942"]
    assert answer.json()["version"]["reason"] == "regions"
    placements = edge.read(containers.placements_of, user_id=carl.id)
    assert [one.region_id for one in placements] == [940, 941, 942]
    assert {one.slot: (one.server_id, one.port, one.generation) for one in placements} == ports
    assert choose(carl, 940).json()["version"]["version"] == 2  # nothing to change
    follow("acl.")
    assert "区域编号已更换" in mails(carl.email)[0].text
    for base in (899, 900, 901, 997, 999, 10**9, -1):
        refused = choose(carl, base)
        assert (refused.status_code, code_of(refused)) == (422, "acl.regions_refused")
    assert code_of(choose(eve, 940)) == "rentals.none_open"


def test_region_choices_are_limited(
    client: TestClient, servers: list[int], carl: Person, activate: Activate
) -> None:
    activate(carl)
    statuses = [
        client.post(
            "/api/acl/regions", json={"region_base": 902 + number}, headers=carl.headers
        ).status_code
        for number in range(11)
    ]
    assert statuses == [*[200] * 10, 429]
