"""A version's next one: what is made on day 29, and what stands in its way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from derpman.acl import queries as acl_queries
from derpman.acl import service as acl
from derpman.acl import usage
from derpman.acl.states import RotationStatus
from derpman.alerts.models import SystemAlert
from derpman.containers import reconcile
from derpman.containers import service as containers
from derpman.containers.errors import NotEnoughServers
from derpman.containers.models import Placement, PortClaim
from derpman.containers.states import Observed
from derpman.kit.work import Edge
from derpman.rentals import service
from derpman.rentals.models import Rental
from derpman.servers.models import Server, ServerLink
from derpman.servers.states import ServerStatus
from derpman.traffic import service as traffic
from derpman.wiring import System
from derpman.worker import celery_app
from tests.conftest import Person
from tests.rentals.conftest import NewCode

if TYPE_CHECKING:
    from starlette.testclient import TestClient
from tests.rentals.lives import Life, Mails, rows, seen


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


def test_who_was_suspended_past_the_end_of_his_acl_has_it_back_at_once_and_the_next_one_begun(
    life: Life, carl: Person
) -> None:
    life.clock.advance(days=28)
    life.edge(service.suspend_user, user_id=carl.id, reason="abuse")
    for _ in range(5):
        life.clock.advance(days=1)
        life.sweep()  # each puts it off
    life.clock.advance(seconds=30)
    life.edge(service.reinstate_user, user_id=carl.id)
    version = life.edge.read(acl.offered, user_id=carl.id)
    assert version.expires_at == life.clock.now + timedelta(days=3)
    life.sweep()
    assert {one.generation for one in life.placements()} == {1, 2}


def test_who_was_suspended_before_his_acl_was_due_keeps_its_times(life: Life, carl: Person) -> None:
    before = life.current()
    life.clock.advance(days=10)
    life.edge(service.suspend_user, user_id=carl.id, reason="abuse")
    life.clock.advance(days=2)
    life.edge(service.reinstate_user, user_id=carl.id)
    assert (life.current().expires_at, life.current().due_at) == (before.expires_at, before.due_at)


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


def test_rotation_that_cannot_be_finished_is_told_and_tried_again(
    life: Life, system: System
) -> None:
    app = celery_app(system)
    app.loader.import_default_modules()
    life.clock.advance(days=29)
    app.tasks["rentals.rotate"]()
    life.nodes_say_ready()

    def regions(by: int) -> None:
        moved = update(Placement).values(region_id=Placement.region_id + by)
        life.edge(lambda work: work.session.execute(moved))

    regions(-900)  # no customer's region
    app.tasks["rentals.rotate"]()
    [row] = life.rotations()
    assert (row.status, row.error) == (RotationStatus.CANCELLED, "acl.unfit")
    [alert] = rows(life.edge, select(SystemAlert))
    assert (alert.alert_type, alert.resolved) == ("acl_rotation_failed", False)
    assert [one.generation for one in life.placements()] == [1, 1, 1]
    regions(900)
    life.clock.advance(minutes=10)
    app.tasks["rentals.rotate"]()
    life.nodes_say_ready()
    app.tasks["rentals.rotate"]()
    assert life.current().number == 2
    [alert] = rows(life.edge, select(SystemAlert))
    assert alert.resolved is True
