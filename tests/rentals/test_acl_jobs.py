"""Next versions that admins want: of one user, and of everybody on a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from derpman.acl.models import AclLog
from derpman.acl.states import RotationStatus
from derpman.kit.work import Edge
from derpman.rentals import rotation, service
from derpman.wiring import System
from derpman.worker import celery_app
from tests.conftest import Person
from tests.rentals.conftest import NewCode

if TYPE_CHECKING:
    from starlette.testclient import TestClient
from tests.rentals.lives import Life, rows


def test_admin_has_the_next_version_made_for_one_user(
    life: Life, client: TestClient, root: Person, carl: Person
) -> None:
    body = {"user_id": carl.id, "reason": "key in a forum"}
    asked = client.post("/api/acl/rotate", json=body, headers=root.headers).json()["rotation"]
    assert (asked["status"], asked["is_new_ports"]) == ("queued", True)
    again = client.post("/api/acl/rotate", json=body, headers=root.headers)
    assert again.json()["error"]["code"] == "rentals.rotation_under_way"
    life.rotate()
    [done] = client.get("/api/acl/rotations", headers=root.headers).json()["rotations"]
    assert (done["status"], done["version"], done["username"]) == ("done", 2, "carl")
    [log] = rows(life.edge, select(AclLog).where(AclLog.reason == "key in a forum"))
    assert (log.actor_name, log.ip_address) == ("root_", "testclient")


def test_third_generation_takes_the_place_of_one_nobody_uses(life: Life, carl: Person) -> None:
    """Whoever pasted nothing keeps what he has, however often the next version is made."""
    first = {one.pin for one in life.placements()}
    for _ in range(3):
        life.edge(rotation.ask, user_id=carl.id)
        life.rotate()
    assert life.current().number == 4
    assert [one.generation for one in life.placements()] == [1, 4, 1, 4, 1, 4]
    assert {one.pin for one in life.placements() if one.generation == 1} == first


def test_third_generation_waits_while_devices_are_on_both(life: Life, carl: Person) -> None:
    life.edge(rotation.ask, user_id=carl.id)
    life.rotate()
    old, new = life.placements()[:2]
    life.be_on(old, new)
    life.sweep()
    life.edge(rotation.ask, user_id=carl.id)
    life.rotate()
    assert [one.generation for one in life.placements()] == [1, 2, 1, 2, 1, 2]
    last = life.rotations()[-1]
    assert (last.status, last.error) == (RotationStatus.DONE, "containers.two_generations")


def test_all_users_of_a_server_get_their_next_version_as_a_job(
    life: Life,
    client: TestClient,
    edge_of: Callable[..., Edge],
    servers: list[int],
    new_code: NewCode,
    carl: Person,
    eve: Person,
    rita: Person,
    root: Person,
) -> None:
    for person in (eve, rita):
        edge_of(person.actor)(service.activate, code=new_code(), user_id=person.id)
    life.edge(service.suspend_user, user_id=rita.id, reason="abuse")
    body = {"server_id": servers[1], "reason": "maintenance"}
    answer = client.post("/api/acl/generate_for_server", json=body, headers=root.headers)
    job = answer.json()["job"]
    assert (job["total"], job["done"], job["is_over"]) == (2, 0, False)
    rental = life.edge.read(service.open_rental, eve.id)
    assert rental is not None
    life.edge(service.end, rental_id=rental.id, reason="meanwhile")
    life.sweep()
    life.sweep()
    path = f"/api/acl/jobs/{job['id']}"
    job = client.get(path, headers=root.headers).json()["job"]
    assert (job["total"], job["done"], job["cancelled"], job["is_over"]) == (2, 1, 1, True)
    made = rows(life.edge, select(AclLog).where(AclLog.reason == "maintenance"))
    assert [(one.user_id, one.actor_name, one.ip_address) for one in made] == [
        (carl.id, "root_", "testclient")
    ]
    log = client.get(f"/api/acl/rotations?job_id={job['id']}", headers=root.headers).json()
    assert {one["username"]: one["error"] for one in log["rotations"]} == {
        "carl": None,
        "eve": "rentals.none_open",
    }
    unknown = client.post(
        "/api/acl/generate_for_server", json={"server_id": 99}, headers=root.headers
    )
    assert unknown.json()["error"]["code"] == "servers.not_found"
    assert [one["id"] for one in client.get("/api/acl/jobs", headers=root.headers).json()["jobs"]]


def test_job_is_taken_back_as_far_as_it_has_not_begun(
    life: Life, client: TestClient, servers: list[int], root: Person
) -> None:
    job = life.edge(rotation.ask_for_server, server_id=servers[0], is_new_ports=True)
    path = f"/api/acl/jobs/{job.id}/cancel"
    for _ in range(2):
        taken = client.post(path, headers=root.headers).json()["job"]
        assert (taken["cancelled"], taken["is_over"]) == (1, True)
    life.rotate()
    assert life.current().number == 1
    unknown = client.post("/api/acl/jobs/99/cancel", headers=root.headers)
    assert unknown.json()["error"]["code"] == "rentals.job_not_found"


@pytest.mark.parametrize("path", ["rotations", "jobs", "usage"])
def test_lists_are_for_admins(client: TestClient, carl: Person, rita: Person, path: str) -> None:
    for who in (carl, rita):
        assert client.get(f"/api/acl/{path}", headers=who.headers).status_code == 403
    assert client.get(f"/api/acl/{path}").status_code == 401


def test_so_many_customers_a_minute_get_new_relays(
    life: Life,
    system: System,
    edge_of: Callable[..., Edge],
    new_code: NewCode,
    eve: Person,
) -> None:
    edge_of(eve.actor)(service.activate, code=new_code(180), user_id=eve.id)
    settings = system.settings.model_copy(update={"acl_rotations_per_minute": 1})
    app = celery_app(replace(system, settings=settings))
    app.loader.import_default_modules()
    life.clock.advance(days=29)
    begun: list[int] = []
    for _ in range(2):
        app.tasks["rentals.rotate"]()
        begun.append(sum(one.begun_at is not None for one in life.rotations()))
    life.clock.advance(seconds=61)
    app.tasks["rentals.rotate"]()
    begun.append(sum(one.begun_at is not None for one in life.rotations()))
    assert begun == [1, 1, 2]
    app.tasks["acl.attend_due"]()
    app.tasks["devices.watch_maps"]()
