"""Two versions side by side: who is told, what ends the old relays, and when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from derpman.acl import overlap, usage
from derpman.acl import queries as acl_queries
from derpman.acl.models import AclVersion
from derpman.acl.states import AclStatus, Evidence
from derpman.containers.models import Placement
from derpman.devices import maps
from derpman.kit.work import Edge
from derpman.rentals import rotation, service
from tests.conftest import Person
from tests.rentals.conftest import NewCode

if TYPE_CHECKING:
    from starlette.testclient import TestClient
from tests.rentals.lives import SETTLE, Life, Mails, rows, seen


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
