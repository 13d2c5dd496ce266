"""A version's next one, from day 29 to the hard end on day 32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, update

from derpman.acl import overlap, usage
from derpman.acl import queries as acl_queries
from derpman.acl import service as acl
from derpman.acl.models import AclLog, AclRotation, AclVersion
from derpman.acl.states import AclStatus, Evidence, RotationStatus
from derpman.containers import reconcile
from derpman.containers import service as containers
from derpman.containers.errors import NotEnoughServers
from derpman.containers.models import Placement, PortClaim
from derpman.containers.states import Observed, Wanted
from derpman.devices import maps
from derpman.devices.models import Presence
from derpman.kit.work import Edge
from derpman.rentals import rotation, service
from derpman.rentals.models import Rental
from derpman.servers.models import Server, ServerLink
from derpman.servers.states import ServerStatus
from derpman.traffic import service as traffic
from derpman.wiring import System
from derpman.worker import celery_app
from tests.conftest import MovableClock, Person, QueuedMail
from tests.rentals.conftest import NewCode

if TYPE_CHECKING:
    from starlette.testclient import TestClient

Mails = Callable[[str], list[QueuedMail]]
SETTLE = timedelta(seconds=300)
WINDOW = {"acl_changed", "acl_rotated", "acl_reminder", "acl_ended"}


class Life:
    """A customer with a rental of 180 days, and what the sweeps would do for him."""

    def __init__(self, edge: Edge, clock: MovableClock, person: Person) -> None:
        self.edge = edge
        self.clock = clock
        self.person = person

    def placements(self) -> list[Placement]:
        return self.edge.read(containers.placements_of, user_id=self.person.id)

    def current(self) -> AclVersion:
        version = self.edge.read(acl.current, user_id=self.person.id)
        assert version is not None
        return version

    def rotations(self) -> list[AclRotation]:
        return rows(self.edge, select(AclRotation).order_by(AclRotation.id))

    def sweep(self) -> None:
        """Run the sweeps of a moment, as the timetable would."""
        found = self.edge.read(acl_queries.rotation_ids, status=RotationStatus.PREPARING, limit=99)
        for rotation_id in found:
            self.edge(rotation.finish, rotation_id=rotation_id)
        for version_id in self.edge.read(acl_queries.rotation_due, limit=99):
            self.edge(rotation.enqueue_due, version_id=version_id)
        found = self.edge.read(acl_queries.rotation_ids, status=RotationStatus.QUEUED, limit=99)
        for rotation_id in found:
            self.edge(rotation.begin, rotation_id=rotation_id)
        for version_id in self.edge.read(acl_queries.superseded_due, limit=99):
            self.edge(overlap.attend, version_id=version_id)
        seen, _ = self.edge.read(maps.changed, after=0, limit=99, settle=SETTLE)
        for one in seen:
            self.edge(maps.note, seen=one, settle=SETTLE)

    def nodes_say_ready(self) -> None:
        self.edge(
            lambda work: work.session.execute(
                update(Placement)
                .where(Placement.wanted == Wanted.RUNNING)
                .values(observed=Observed.READY)
            )
        )

    def rotate(self) -> AclVersion:
        """Begin what is due, have the relays serve, and finish."""
        self.sweep()
        self.nodes_say_ready()
        self.sweep()
        return self.current()

    def be_on(self, *placements: Placement) -> None:
        """Have his one device connected to these relays and no others."""

        def write(work: Any) -> None:
            for row in work.session.scalars(select(Presence)):
                work.session.delete(row)
            work.session.flush()
            for one in placements:
                work.session.add(
                    Presence(
                        placement_id=one.id,
                        node_key="nodekey:" + "a" * 64,
                        user_id=self.person.id,
                        server_id=one.server_id,
                        address="198.51.100.9:1",
                        since=work.now,
                    )
                )

        self.edge(write)


def rows(edge: Edge, statement: Any) -> list:
    return edge.read(lambda work: list(work.session.scalars(statement)))


def seen(mails: Mails, person: Person) -> list[str]:
    return [mail.template for mail in mails(person.email) if mail.template in WINDOW]


@pytest.fixture
def life(
    edge: Edge,
    edge_of: Callable[..., Edge],
    clock: MovableClock,
    servers: list[int],
    carl: Person,
    new_code: NewCode,
) -> Life:
    edge_of(carl.actor)(service.activate, code=new_code(180), user_id=carl.id)
    life = Life(edge, clock, carl)
    life.nodes_say_ready()
    return life


def test_nothing_happens_before_day_29(life: Life) -> None:
    life.clock.advance(days=29, seconds=-1)
    life.sweep()
    assert life.rotations() == []
    assert len(life.placements()) == 3


def test_on_day_29_new_relays_stand_beside_the_old_before_the_map_names_them(life: Life) -> None:
    old = life.placements()
    first = life.current()
    life.clock.advance(days=29)
    life.sweep()
    both = life.placements()
    assert [one.generation for one in both] == [1, 2, 1, 2, 1, 2]
    assert life.current().number == first.number
    life.sweep()
    assert life.current().number == first.number  # the new ones do not serve yet
    life.nodes_say_ready()
    life.sweep()
    second = life.current()
    assert (second.number, second.reason) == (2, "rotation")
    assert usage.pins_of(second) == {one.pin for one in both} - {one.pin for one in old}
    assert {one.region_id for one in both} == {931, 932, 933}
    assert {one.port for one in both if one.generation == 2}.isdisjoint({one.port for one in old})
    [row] = life.rotations()
    assert (row.status, row.version_id, row.open_user_id) == (RotationStatus.DONE, second.id, None)


def test_node_is_told_when_the_old_relays_end(life: Life) -> None:
    started = life.clock.now
    life.clock.advance(days=29)
    life.rotate()
    old = [one for one in life.placements() if one.generation == 1]
    assert {one.ends_at for one in old} == {started + timedelta(days=32)}
    new = [one for one in life.placements() if one.generation == 2]
    assert {one.ends_at for one in new} == {None}
    wanted = life.edge.read(reconcile.desired_state, server_id=old[0].server_id, force=True)
    assert wanted is not None
    ends = {relay["id"]: relay["expires_at"] for relay in wanted["relays"]}
    assert ends[old[0].id] == "2026-04-02T08:00:00Z"


def test_who_pasted_nothing_is_told_four_times_and_cut_on_day_32(
    life: Life, mails: Mails, follow: Callable[..., None], carl: Person
) -> None:
    started = life.clock.now
    old = life.placements()
    life.be_on(old[0])
    told: list[tuple[int, list[str]]] = []
    for day in range(28, 35):
        life.clock.now = started + timedelta(days=day)
        for _ in range(3):
            life.rotate()
            follow("acl.")
        life.clock.advance(minutes=15)
        life.rotate()
        told.append((day, seen(mails, carl)))
        life.clock.advance(hours=12)
        life.rotate()
        follow("acl.")
        assert seen(mails, carl) == told[-1][1]
    assert told == [
        (28, []),
        (29, ["acl_rotated"]),
        (30, ["acl_rotated", "acl_reminder"]),
        (31, ["acl_rotated", "acl_reminder", "acl_reminder"]),
        (32, ["acl_rotated", "acl_reminder", "acl_reminder", "acl_ended"]),
        (33, ["acl_rotated", "acl_reminder", "acl_reminder", "acl_ended"]),
        (34, ["acl_rotated", "acl_reminder", "acl_reminder", "acl_ended"]),
    ]
    assert all(one.generation == 2 for one in life.placements())
    released = rows(life.edge, select(Placement).where(Placement.id.in_([one.id for one in old])))
    assert {one.released_at for one in released} == {started + timedelta(days=32)}
    statuses = rows(life.edge, select(AclVersion.status).order_by(AclVersion.number))
    assert statuses == [AclStatus.ENDED, AclStatus.CURRENT]


def test_day_32_is_exact(life: Life) -> None:
    started = life.clock.now
    life.clock.advance(days=29)
    life.rotate()
    life.clock.now = started + timedelta(days=32, seconds=-1)
    life.sweep()
    assert len(life.placements()) == 6
    life.clock.advance(seconds=1)
    life.sweep()
    assert len(life.placements()) == 3


def test_grace_moves_the_end_and_no_other_day(life: Life) -> None:
    started = life.clock.now
    life.clock.advance(days=29)
    life.sweep()
    life.nodes_say_ready()
    [row] = life.rotations()
    life.edge(rotation.finish, rotation_id=row.id)
    grace = timedelta(days=2)
    [former_id] = life.edge.read(acl_queries.superseded_due, limit=9)
    life.edge(overlap.attend, version_id=former_id, grace=grace)
    old = [one for one in life.placements() if one.generation == 1]
    assert {one.ends_at for one in old} == {started + timedelta(days=34)}
    former = rows(life.edge, select(AclVersion).where(AclVersion.id == former_id))[0]
    assert former.due_at == started + timedelta(days=29, minutes=15)
    life.clock.advance(minutes=15)
    life.edge(overlap.attend, version_id=former_id, grace=grace)
    former = rows(life.edge, select(AclVersion).where(AclVersion.id == former_id))[0]
    assert former.due_at == started + timedelta(days=30)


def test_devices_on_new_relays_and_none_on_old_end_the_old_early(
    life: Life, mails: Mails, follow: Callable[..., None], carl: Person
) -> None:
    life.be_on(life.placements()[0])
    life.sweep()
    known = life.edge.read(usage.of, user_id=carl.id)
    assert known is not None
    assert (known.version_id, known.evidence) == (life.current().id, Evidence.PRESENCE)
    life.clock.advance(days=29)
    second = life.rotate()
    follow("acl.")
    old, new = life.placements()[:2]
    life.be_on(old, new)
    life.sweep()
    life.clock.advance(seconds=400)
    life.sweep()
    assert len(life.placements()) == 6  # one is on an old relay still
    life.clock.advance(minutes=10)
    life.be_on(new)
    life.sweep()
    life.clock.advance(seconds=299)
    life.sweep()
    assert len(life.placements()) == 6
    life.clock.advance(seconds=1)
    life.sweep()
    assert [one.generation for one in life.placements()] == [2, 2, 2]
    known = life.edge.read(usage.of, user_id=carl.id)
    assert known is not None
    assert (known.version_id, known.evidence) == (second.id, Evidence.PRESENCE)
    assert known.is_watched is False
    life.clock.advance(days=4)
    life.rotate()
    follow("acl.")
    assert seen(mails, carl) == ["acl_rotated"]


def test_device_that_comes_back_to_an_old_relay_begins_the_wait_anew(life: Life) -> None:
    life.clock.advance(days=29)
    life.rotate()
    old, new = life.placements()[:2]
    life.be_on(new)
    life.sweep()
    life.clock.advance(seconds=200)
    life.be_on(new, old)
    life.sweep()
    life.clock.advance(seconds=200)
    life.be_on(new)
    life.sweep()
    life.clock.advance(seconds=200)
    life.sweep()
    assert len(life.placements()) == 6


def test_pushed_version_needs_no_device_on_the_new_relays(life: Life, carl: Person) -> None:
    life.clock.advance(days=29)
    second = life.rotate()
    life.edge(usage.record, user_id=carl.id, version_id=second.id, evidence=Evidence.PUSHED)
    life.sweep()
    life.clock.advance(seconds=300)
    life.sweep()
    assert [one.generation for one in life.placements()] == [2, 2, 2]
    known = life.edge.read(usage.of, user_id=carl.id)
    assert known is not None
    assert known.evidence is Evidence.PUSHED


def test_word_of_the_customer_stops_reminders_unless_devices_tell_otherwise(
    life: Life,
    client: TestClient,
    mails: Mails,
    follow: Callable[..., None],
    carl: Person,
    eve: Person,
) -> None:
    life.clock.advance(days=29)
    second = life.rotate()
    life.clock.advance(minutes=15)
    life.sweep()
    said = client.post("/api/acl/applied", json={"version": 2}, headers=carl.headers)
    assert said.json()["applied"]["evidence"] == "told"
    for who, number in ((carl, 3), (eve, 2)):
        no = client.post("/api/acl/applied", json={"version": number}, headers=who.headers)
        assert no.json()["error"]["code"] == "acl.not_found"
    life.clock.advance(days=1)
    life.sweep()
    assert seen(mails, carl) == ["acl_rotated"]
    life.be_on(life.placements()[0])
    life.sweep()
    life.clock.advance(days=1)
    life.sweep()
    assert seen(mails, carl) == ["acl_rotated", "acl_reminder"]
    shown = client.get("/api/acl/current", headers=carl.headers).json()["acl"]
    assert shown["applied"]["version"] == second.number
    [former] = shown["former"]
    assert (former["version"], len(former["relays"])) == (1, 3)
    assert former["ends_at"] == "2026-04-02T08:00:00Z"


def test_tailnet_that_follows_its_address_is_not_mailed(
    life: Life,
    client: TestClient,
    mails: Mails,
    follow: Callable[..., None],
    carl: Person,
    root: Person,
) -> None:
    made = client.post("/api/acl/address", headers=carl.headers).json()["address"]
    path = made["url"].removeprefix("https://derp.example")
    agent = {"User-Agent": "Go-http-client/1.1"}
    life.clock.advance(days=28, hours=20)
    assert client.get(path, headers={"User-Agent": "Mozilla/5.0 (X11)"}).status_code == 200
    assert life.edge.read(usage.of, user_id=carl.id).version_id is None  # type: ignore[union-attr]
    assert client.get(path, headers=agent).status_code == 200
    life.clock.advance(hours=4)
    life.rotate()
    follow("acl.")
    client.app.state.offers._known.clear()  # type: ignore[attr-defined] # the second is over
    assert client.get(path, headers=agent).status_code == 200
    life.sweep()
    [row] = client.get("/api/acl/usage", headers=root.headers).json()["usages"]
    assert (row["current_version"], row["applied"]["version"]) == (2, 2)
    assert row["applied"]["evidence"] == "fetched"
    life.clock.advance(days=1)
    life.sweep()
    assert seen(mails, carl) == []
    behind = client.get("/api/acl/usage?is_behind=true", headers=root.headers).json()
    assert behind["usages"] == []


def test_suspended_customer_is_left_alone_and_has_the_whole_overlap_when_he_is_back(
    life: Life, mails: Mails, follow: Callable[..., None], carl: Person
) -> None:
    life.clock.advance(days=28)
    life.edge(service.suspend_user, user_id=carl.id, reason="abuse")
    life.clock.advance(days=5)
    life.rotate()
    assert life.current().number == 1
    life.edge(service.reinstate_user, user_id=carl.id)
    back = life.clock.now
    life.clock.advance(minutes=10)
    life.nodes_say_ready()
    life.rotate()
    life.clock.advance(minutes=15)
    life.sweep()
    follow("acl.")
    assert life.current().number == 2
    old = [one for one in life.placements() if one.generation == 1]
    ends = back + timedelta(days=3, minutes=10)
    assert {one.ends_at for one in old} == {ends}
    life.clock.now = ends
    life.sweep()
    assert [one.generation for one in life.placements()] == [2, 2, 2]
    assert seen(mails, carl) == ["acl_rotated", "acl_ended"]


def test_rental_that_ends_in_the_middle_leaves_nothing(life: Life, carl: Person) -> None:
    life.clock.advance(days=29)
    life.sweep()
    rental = life.edge.read(service.open_rental, carl.id)
    assert rental is not None
    life.edge(service.end, rental_id=rental.id, reason="test")
    life.nodes_say_ready()
    life.sweep()
    assert life.placements() == []
    [row] = life.rotations()
    assert (row.status, row.error) == (RotationStatus.CANCELLED, "rentals.none_open")
    assert rows(life.edge, select(Server.relay_count)) == [0, 0, 0]


def test_relay_that_does_not_serve_in_time_is_tried_elsewhere(
    life: Life, add_server: Callable[..., int]
) -> None:
    spare = add_server()
    life.clock.advance(days=29)
    life.sweep()
    stuck = next(one for one in life.placements() if one.generation == 2)
    life.nodes_say_ready()
    life.edge(
        lambda work: work.session.execute(
            update(Placement).where(Placement.id == stuck.id).values(observed=Observed.STARTING)
        )
    )
    life.clock.advance(minutes=5)
    life.sweep()
    assert life.current().number == 1
    slot = [one for one in life.placements() if one.slot == stuck.slot]
    assert [(one.generation, one.server_id == spare) for one in slot] == [(1, False), (3, True)]
    life.nodes_say_ready()
    life.sweep()
    second = life.current()
    assert second.number == 2
    assert slot[1].pin in usage.pins_of(second)


def test_server_that_is_unhealthy_gets_no_successor_while_another_is_fit(
    life: Life, add_server: Callable[..., int]
) -> None:
    spare = add_server()
    ill = life.placements()[0].server_id
    life.edge(
        lambda work: work.session.execute(
            update(Server).where(Server.id == ill).values(status=ServerStatus.UNHEALTHY)
        )
    )
    life.clock.advance(days=29)
    life.sweep()
    new = {one.slot: one.server_id for one in life.placements() if one.generation == 2}
    assert new[1] == spare
    assert ill not in new.values()


def test_freed_port_is_nobody_elses_for_seven_days(
    life: Life, edge_of: Callable[..., Edge], eve: Person, new_code: NewCode
) -> None:
    """The servers' ranges are narrowed to the ports that rest."""
    old = life.placements()
    life.clock.advance(days=29)
    life.rotate()
    life.clock.advance(days=3)
    life.sweep()
    for one in old:
        generation = rows(
            life.edge, select(Server.desired_generation).where(Server.id == one.server_id)
        )[0]
        life.edge(
            reconcile.record_observed,
            server_id=one.server_id,
            snapshot={"generation": generation, "whole": True, "relays": [], "events": []},
        )
    resting = {one.server_id: one.port for one in old}
    claims = rows(life.edge, select(PortClaim).where(PortClaim.free_at.is_not(None)))
    assert {(one.server_id, one.port) for one in claims} == set(resting.items())
    for server_id, port in resting.items():
        life.edge(
            lambda work, server_id=server_id, port=port: work.session.execute(
                update(Server).where(Server.id == server_id).values(port_from=port, port_to=port)
            )
        )
    life.clock.advance(days=7, seconds=-1)
    with pytest.raises(NotEnoughServers):
        edge_of(eve.actor)(service.activate, code=new_code(), user_id=eve.id)
    life.clock.advance(seconds=1)
    edge_of(eve.actor)(service.activate, code=new_code(), user_id=eve.id)
    hers = life.edge.read(containers.placements_of, user_id=eve.id)
    assert {one.server_id: one.port for one in hers} == resting


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


def test_watching_reads_a_page_in_five_statements_and_writes_no_news_twice(
    life: Life,
    statements: list[str],
    edge_of: Callable[..., Edge],
    new_code: NewCode,
    eve: Person,
    rita: Person,
) -> None:
    for person in (eve, rita):
        edge_of(person.actor)(service.activate, code=new_code(), user_id=person.id)
    statements.clear()
    found, after = life.edge.read(maps.changed, after=0, limit=99, settle=SETTLE)
    assert (len(found), after) == (3, None)
    assert len(statements) == 5
    for one in found:
        life.edge(maps.note, seen=one, settle=SETTLE)
    statements.clear()
    found, _ = life.edge.read(maps.changed, after=0, limit=99, settle=SETTLE)
    assert found == []
    assert len(statements) == 5


def test_rental_page_shows_three_relays_during_the_overlap(
    life: Life, client: TestClient, carl: Person
) -> None:
    life.clock.advance(days=29)
    life.rotate()
    rental = client.get("/api/user/rental", headers=carl.headers).json()["rental"]
    assert [slot["slot"] for slot in rental["slots"]] == [1, 2, 3]
    assert rental["is_ready"] is True
    new = {one.id for one in life.placements() if one.generation == 2}
    assert {slot["container_id"] for slot in rental["slots"]} == new


def test_rental_row_is_not_needed_to_find_what_is_due(life: Life, statements: list[str]) -> None:
    statements.clear()
    assert life.edge.read(acl_queries.rotation_due, limit=99) == []
    assert life.edge.read(acl_queries.superseded_due, limit=99) == []
    assert len(statements) == 2
    assert not any(Rental.__tablename__ in statement for statement in statements)


def test_tailnet_that_took_it_within_a_quarter_of_an_hour_is_not_mailed(
    life: Life, mails: Mails, follow: Callable[..., None], carl: Person
) -> None:
    life.clock.advance(days=29)
    second = life.rotate()
    follow("acl.")
    life.edge(usage.record, user_id=carl.id, version_id=second.id, evidence=Evidence.PUSHED)
    for _ in range(4):
        life.clock.advance(days=1)
        life.sweep()
    assert seen(mails, carl) == []
    assert [one.generation for one in life.placements()] == [2, 2, 2]


def test_push_that_was_undone_is_known_no_more(life: Life, carl: Person) -> None:
    version = life.current()
    told: dict[str, Any] = {"user_id": carl.id, "version_id": version.id, "at": "now"}
    life.edge(usage.note_pushed, **told)
    life.edge(usage.note_undone, user_id=carl.id, version_id=version.id + 1, at="now")
    known = life.edge.read(usage.of, user_id=carl.id)
    assert known is not None
    assert (known.version_id, known.evidence) == (version.id, Evidence.PUSHED)
    life.edge(usage.note_undone, **told)
    known = life.edge.read(usage.of, user_id=carl.id)
    assert known is not None
    assert (known.version_id, known.evidence, known.is_watched) == (None, None, True)


def test_who_comes_back_within_a_week_goes_on_with_his_map_and_its_32_days(
    life: Life, edge_of: Callable[..., Edge], carl: Person, new_code: NewCode
) -> None:
    started = life.clock.now
    first = {one.pin for one in life.placements()}
    life.clock.advance(days=25)
    rental = life.edge.read(service.open_rental, carl.id)
    assert rental is not None
    life.edge(service.end, rental_id=rental.id, reason="test")
    life.clock.advance(days=5)
    edge_of(carl.actor)(service.activate, code=new_code(), user_id=carl.id)
    assert life.current().number == 1
    assert {one.pin for one in life.placements()} == first
    life.nodes_say_ready()
    second = life.rotate()
    assert (second.number, second.reason) == (2, "rotation")
    old = [one for one in life.placements() if one.pin in first]
    assert {one.ends_at for one in old} == {started + timedelta(days=32)}
    life.clock.now = started + timedelta(days=32)
    life.sweep()
    assert usage.pins_of(second) == {one.pin for one in life.placements()}


def test_two_generations_do_not_have_the_traffic_twice(life: Life, carl: Person) -> None:
    rental = life.edge.read(service.open_rental, carl.id)
    assert rental is not None
    life.edge(traffic.follow, rental_id=rental.id, user_id=carl.id)
    life.clock.advance(days=29)
    life.rotate()
    contact = update(ServerLink).values(contact_at=life.clock.now)
    life.edge(lambda work: work.session.execute(contact))
    life.edge(traffic.count, rental_ids=[rental.id], share_for=[rental.id])
    shares = [one.quota_bytes for one in life.placements()]
    assert len(shares) == 6
    assert all(shares)
    assert sum(share or 0 for share in shares) <= rental.traffic_bytes


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
