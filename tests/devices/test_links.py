"""Devices of a linked tailnet: taken over, followed by their ids, and removed with care."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from derpman.containers import queries as containers
from derpman.containers.models import Placement
from derpman.devices import links, queries, service, sightings
from derpman.devices.errors import LinkedNotFound, NothingHeld
from derpman.devices.linkbook import listed_in
from derpman.devices.links import Looker
from derpman.devices.models import Device, Knock, LinkedDevice, Source
from derpman.devices.states import DeviceStatus, KnockStatus, LinkedStatus
from derpman.kit.outgoing import Outgoing
from derpman.kit.states import IllegalTransition
from derpman.kit.work import Edge
from derpman.logs.models import UserLog
from derpman.rentals import service as rentals
from derpman.rentals.models import Rental
from derpman.settings import Settings
from derpman.tailnets import service as tailnets
from derpman.tailnets.control import Peer
from derpman.tailnets.models import TailnetLink
from derpman.tailnets.service import LinkFacts
from derpman.tailnets.states import LinkKind, LinkStatus
from derpman.wiring import System
from tests.conftest import MovableClock, Person
from tests.system.emulators.api_server import Fault, Reply
from tests.system.emulators.headscale import Headscale
from tests.system.emulators.tailscale import Tailscale, key_of

ANY = Outgoing(allow_private=True, timeout=30)
IMPATIENT = replace(ANY, timeout=0.5)
"""Where the other side is silent: the test is the sooner over."""
EVERY = timedelta(minutes=5)
DEVICES = "GET /api/v2/tailnet/-/devices"
Link = Callable[..., None]


@pytest.fixture
def there() -> Iterator[Tailscale]:
    """Carl's tailnet at Tailscale, emulated."""
    with Tailscale() as emulator:
        yield emulator


@pytest.fixture
def system(system: System, there: Tailscale) -> System:
    """An installation that may ask what is on loopback, and takes the emulator for Tailscale."""
    values = {**system.settings.model_dump(), "allow_private_links": True}
    values["tailscale_api_url"] = there.url
    settings = Settings(_env_file=None, **values)  # pyright: ignore[reportCallIssue] # it is taken
    return System(settings, system.engine, system.vault, system.wake, system.clock)


@pytest.fixture
def do(edge_of: Callable[..., Edge], carl: Person) -> Edge:
    """An edge that acts for Carl."""
    return edge_of(carl.actor)


@pytest.fixture
def link(do: Edge, there: Tailscale, rental: Rental) -> Link:
    """Link Carl's tailnet."""

    def make(**more: Any) -> None:
        known: dict[str, Any] = {"client_id": there.client_id, "secret": there.client_secret}
        facts = LinkFacts(kind=LinkKind.TAILSCALE, **{**known, **more})
        do(tailnets.create, facts=facts, outgoing=ANY)

    return make


@pytest.fixture
def look(edge: Edge, there: Tailscale, clock: MovableClock) -> Callable[..., int]:
    """Look at what is due, after the time that a regular look takes to come."""

    def run(seconds: float = 400, outgoing: Outgoing = ANY) -> int:
        clock.advance(seconds=seconds)
        return Looker(edge, outgoing, there.url, EVERY).look_due()

    return run


@pytest.fixture
def names(edge: Edge, carl: Person) -> Callable[[], list[str]]:
    """Names of Carl's registered devices."""
    return lambda: [one.name for one in edge.read(queries.devices_of, user_id=carl.id)]


@pytest.fixture
def admitted(edge: Edge, carl: Person) -> Callable[[], set[str]]:
    return lambda: edge.read(containers.admitted_keys, user_id=carl.id)


@pytest.fixture
def linked(edge: Edge, carl: Person) -> Callable[[], dict[str, LinkedDevice]]:
    """What became of each device of the tailnet, by name."""
    return lambda: {one.name: one for one in edge.read(queries.linked_of, user_id=carl.id)}


@pytest.fixture
def link_now(edge: Edge, carl: Person) -> Callable[[], TailnetLink]:
    def read() -> TailnetLink:
        link = edge.read(tailnets.find, user_id=carl.id)
        assert link is not None
        return link

    return read


@pytest.fixture
def knock(edge: Edge, relays: list[Placement]) -> Callable[[str], None]:
    """Let a device try Carl's first relay."""
    relay = relays[0]

    def come(seed: str) -> None:
        told = {"relay": relay.id, "key": key_of(seed), "address": "198.51.100.9"}
        edge(sightings.record_knocks, server_id=relay.server_id, knocks=[told])

    return come


def test_devices_are_taken_over(
    link: Link, look, there: Tailscale, names, admitted, linked, mails, carl: Person
) -> None:
    there.add_device("laptop", os="macOS")
    there.add_device("phone")
    there.add_device("shared", isExternal=True)
    there.add_device("waiting", authorized=False)
    link()
    assert look(0) == 1
    assert names() == ["laptop", "phone"]
    assert admitted() == {key_of("laptop"), key_of("phone")}
    assert linked()["laptop"].addresses == "100.101.102.1 fd7a:115c:a1e0::1"
    assert linked()["laptop"].system == "macOS"
    [mail] = [one for one in mails(carl.email) if one.template == "devices_followed"]
    assert "laptop" in mail.text
    assert "phone" in mail.text


def test_many_devices_make_one_mail(
    link: Link, look, follow, there: Tailscale, mails, carl: Person
) -> None:
    for number in range(4):
        there.add_device(f"d{number}")
    link()
    look(0)
    follow("devices.")
    assert [one.template for one in mails(carl.email)].count("devices_followed") == 1
    assert "device_added" not in [one.template for one in mails(carl.email)]


def test_a_changed_node_key_is_let_in_and_the_old_one_out(
    edge: Edge, link: Link, look, there: Tailscale, names, admitted, carl: Person
) -> None:
    laptop = there.add_device("laptop")
    link()
    look(0)
    [before] = edge.read(queries.devices_of, user_id=carl.id)
    laptop["nodeKey"] = key_of("laptop, logged in anew")
    look()
    assert admitted() == {key_of("laptop, logged in anew")}
    [after] = edge.read(queries.devices_of, user_id=carl.id)
    assert (after.id, after.seat) == (before.id, before.seat)
    with edge.sessions.reading() as session:
        actions = session.scalars(select(UserLog.action)).all()
    assert "device.rekey" in actions


def test_names_follow_unless_the_customer_chose_one(
    do: Edge, edge: Edge, link: Link, look, there: Tailscale, names, carl: Person
) -> None:
    laptop = there.add_device("laptop")
    phone = there.add_device("phone")
    link()
    look(0)
    devices = {one.name: one.id for one in edge.read(queries.devices_of, user_id=carl.id)}
    do(service.rename, user_id=carl.id, device_id=devices["phone"], name="Mum's")
    laptop["name"], phone["name"] = "desktop.tail1234.ts.net", "mobile.tail1234.ts.net"
    look()
    assert names() == ["Mum's", "desktop"]


def test_a_device_that_is_gone_goes_after_a_second_look(
    link: Link, look, there: Tailscale, names, admitted, linked
) -> None:
    for name in ("laptop", "phone", "tv"):
        there.add_device(name)
    link()
    look(0)
    there.devices.pop(0)
    look()
    assert names() == ["laptop", "phone", "tv"]  # it may have been a slip
    assert look(10) == 0
    assert look(6) == 1
    assert names() == ["phone", "tv"]
    assert key_of("laptop") not in admitted()
    assert set(linked()) == {"phone", "tv"}


def test_a_device_that_comes_back_in_time_stays(link: Link, look, there: Tailscale, names) -> None:
    for name in ("laptop", "phone", "tv"):
        there.add_device(name)
    link()
    look(0)
    gone = there.devices.pop(0)
    look()
    there.devices.append(gone)
    look(16)
    assert names() == ["laptop", "phone", "tv"]
    there.devices.remove(gone)
    look()
    assert names() == ["laptop", "phone", "tv"]  # counted anew


@pytest.mark.parametrize("left", [0, 1])
def test_more_than_half_is_not_believed(
    do: Edge, link: Link, look, there: Tailscale, names, link_now, mails, carl: Person, left: int
) -> None:
    for name in ("laptop", "phone", "tv"):
        there.add_device(name)
    link()
    look(0)
    del there.devices[left:]
    for _ in range(4):
        look()
    assert names() == ["laptop", "phone", "tv"]
    assert link_now().held_removals == 3 - left
    [mail] = [one for one in mails(carl.email) if one.template == "devices_held"]
    assert "tv" in mail.text
    assert do(links.settle_removals, accept=True) == 3 - left
    assert names() == ["laptop", "phone", "tv"][:left]
    with pytest.raises(NothingHeld):
        do(links.settle_removals, accept=True)


def test_what_the_customer_keeps_is_his_own_from_then_on(
    do: Edge, link: Link, look, there: Tailscale, names, link_now, linked
) -> None:
    there.add_device("laptop")
    there.add_device("phone")
    link()
    look(0)
    there.devices.clear()
    look()
    look()
    assert do(links.settle_removals, accept=False) == 2
    look()
    look()
    assert names() == ["laptop", "phone"]
    assert linked() == {}
    assert link_now().held_removals == 0


def test_devices_that_return_lift_the_question(
    link: Link, look, there: Tailscale, names, link_now
) -> None:
    there.add_device("laptop")
    link()
    look(0)
    kept = list(there.devices)
    there.devices.clear()
    look()
    look()
    assert link_now().held_removals == 1
    there.devices += kept
    look()
    assert link_now().held_removals == 0
    assert names() == ["laptop"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(DEVICES, Reply(500)),
        Fault(DEVICES, Reply(200, {})),
        Fault(DEVICES, Reply(200, {"devices": None})),
        Fault(DEVICES, Reply(200, b"[]")),
        Fault(DEVICES, Reply(403, {"message": "no"})),
        Fault(DEVICES, Reply(404, {"message": "no"})),
        Fault(DEVICES, hang=5),
        Fault(DEVICES, garbage=b"nonsense"),
    ],
)
def test_an_error_removes_nothing(link: Link, look, there: Tailscale, names, fault: Fault) -> None:
    there.add_device("laptop")
    there.add_device("phone")
    link()
    look(0)
    for _ in range(3):
        there.faults.append(Fault(fault.of, fault.reply, fault.hang, fault.is_cut, fault.garbage))
        look(4000, IMPATIENT if fault.hang else ANY)
    assert names() == ["laptop", "phone"]


def test_failures_are_tried_again_ever_more_seldom(
    link: Link, look, there: Tailscale, link_now, names
) -> None:
    there.add_device("laptop")
    link()
    there.faults += [Fault(DEVICES, Reply(502)) for _ in range(3)]
    assert look(0) == 1
    assert link_now().status is LinkStatus.TROUBLED
    assert look(20) == 0
    assert look(20) == 1
    assert look(40) == 0
    assert look(40) == 1
    look(200)
    assert names() == ["laptop"]
    assert link_now().status is LinkStatus.WORKING


def test_retry_after_is_kept_also_when_somebody_knocks(
    link: Link, look, follow, there: Tailscale, knock
) -> None:
    link()
    look(0)
    refusal = Reply(429, {"message": "slow down"}, {"Retry-After": "600"})
    there.faults.append(Fault(DEVICES, refusal))
    assert look() == 1
    asked = len(there.asked)
    knock("new")
    follow("devices.")
    assert look(500) == 0
    assert len(there.asked) == asked
    assert look(150) == 1


def test_the_plan_holds_and_lasting_devices_come_first(
    do: Edge, link: Link, look, there: Tailscale, rental: Rental, names, linked, carl: Person
) -> None:
    limit = rental.device_limit
    there.add_device("job", isEphemeral=True, lastSeen="2026-03-01T09:00:00Z")
    for number in range(limit + 1):
        there.add_device(f"d{number}", lastSeen=f"2026-02-{number + 1:02}T00:00:00Z")
    link()
    look(0)
    assert len(names()) == limit
    left = {name for name, row in linked().items() if row.status is LinkedStatus.NO_ROOM}
    assert left == {"d0", "job"}  # seen longest ago, and made for a job
    there.devices = [one for one in there.devices if one["hostname"] != "d3"]
    look()
    look(16)
    assert "d0" in names() or look() == 1
    assert "d0" in names()


def test_what_the_customer_removes_stays_out(
    do: Edge, edge: Edge, link: Link, look, there: Tailscale, names, linked, carl: Person
) -> None:
    there.add_device("laptop")
    there.add_device("phone")
    link()
    look(0)
    phone = linked()["phone"]
    do(service.remove, user_id=carl.id, device_id=phone.device_id)
    for _ in range(3):
        look()
    assert names() == ["laptop"]
    assert linked()["phone"].status is LinkedStatus.LEFT_OUT
    do(links.include, user_id=carl.id, linked_id=phone.id)
    assert names() == ["laptop", "phone"]
    with pytest.raises(IllegalTransition):
        do(links.include, user_id=carl.id, linked_id=phone.id)
    do(links.leave_out, user_id=carl.id, linked_id=phone.id)
    look()
    assert names() == ["laptop"]


def test_a_device_that_was_registered_by_hand_is_followed_too(
    do: Edge, link: Link, look, there: Tailscale, admitted, names, carl: Person
) -> None:
    register: dict[str, Any] = {"user_id": carl.id, "source": Source.NODE_KEY}
    do(service.register, node_key=key_of("laptop"), name="mine", **register)
    laptop = there.add_device("laptop")
    link()
    look(0)
    laptop["nodeKey"] = key_of("anew")
    look()
    assert names() == ["mine"]
    assert admitted() == {key_of("anew")}


def test_a_new_key_that_was_let_in_by_hand_first(
    do: Edge, link: Link, look, there: Tailscale, admitted, names, carl: Person
) -> None:
    laptop = there.add_device("laptop")
    link()
    look(0)
    register: dict[str, Any] = {"user_id": carl.id, "source": Source.NODE_KEY}
    do(service.register, node_key=key_of("anew"), name="by hand", **register)
    laptop["nodeKey"] = key_of("anew")
    look()
    assert names() == ["by hand"]
    assert admitted() == {key_of("anew")}


def test_a_key_that_was_here_once_comes_back(
    edge: Edge, link: Link, look, there: Tailscale, admitted, names, carl: Person
) -> None:
    laptop = there.add_device("laptop")
    link()
    look(0)
    for key in ("b", "laptop", "b", "laptop"):
        laptop["nodeKey"] = key_of(key)
        look()
        assert admitted() == {key_of(key)}
    assert names() == ["laptop"]


def test_two_devices_that_exchange_keys(
    link: Link, look, there: Tailscale, admitted, names
) -> None:
    one, two = there.add_device("one"), there.add_device("two")
    link()
    look(0)
    one["nodeKey"], two["nodeKey"] = two["nodeKey"], one["nodeKey"]
    look()
    look()
    assert admitted() == {key_of("one"), key_of("two")}
    assert len(names()) == 2


def test_an_unknown_device_that_knocks_is_looked_for_at_once(
    link: Link, look, follow, there: Tailscale, names, knock, mails, carl: Person, clock
) -> None:
    there.add_device("laptop")
    link()
    look(0)
    clock.advance(seconds=20)
    there.add_device("new")
    knock("new")
    follow("devices.")
    assert names() == ["laptop", "new"]
    assert "device_refused" not in [one.template for one in mails(carl.email)]


def test_a_stranger_that_knocks_is_told_of_after_the_look(
    link: Link, look, follow, there: Tailscale, names, knock, mails, carl: Person, clock
) -> None:
    link()
    look(0)
    follow("devices.")  # what the begin of the rental asked for
    clock.advance(seconds=20)
    knock("stranger")
    follow("devices.")
    assert names() == []
    assert [one.template for one in mails(carl.email)] == ["device_refused"]


def test_a_device_that_has_no_place_is_told_of(
    link: Link, look, follow, there: Tailscale, rental: Rental, knock, mails, carl: Person
) -> None:
    for number in range(rental.device_limit):
        there.add_device(f"d{number}")
    link()
    look(0)
    there.add_device("extra")
    knock("extra")
    follow("devices.")
    look(20)
    refused = [one for one in mails(carl.email) if one.template == "device_refused"]
    assert len(refused) == 1


def test_strangers_do_not_make_us_ask_without_end(
    link: Link, look, follow, there: Tailscale, knock, link_now
) -> None:
    link()
    look(0)
    asked_before = len(there.asked)
    for number in range(200):  # one every five seconds: a quarter of an hour
        knock(f"stranger {number}")
        follow("devices.")
        look(5)
    looks = there.paths()[asked_before:].count(DEVICES)
    assert looks <= 9
    assert link_now().fruitless >= 4


def test_without_a_link_the_customer_is_told_at_once(
    rental: Rental, follow, there: Tailscale, knock, mails, carl: Person
) -> None:
    knock("stranger")
    follow("devices.")
    assert [one.template for one in mails(carl.email)] == ["device_refused"]
    assert there.asked == []


def test_a_refused_link_does_not_keep_the_customer_waiting(
    link: Link, look, follow, there: Tailscale, knock, mails, carl: Person
) -> None:
    link(secret="wrong")
    look(0)
    knock("stranger")
    follow("devices.")
    assert "device_refused" in [one.template for one in mails(carl.email)]


def test_a_missing_scope_for_pushing_keeps_no_device_out(
    edge: Edge, link: Link, look, follow, there: Tailscale, knock, names, link_now, clock
) -> None:
    there.scopes = "devices:core:read"
    link(wants_push=True)
    follow("tailnets.")
    look(0)
    assert (link_now().status, link_now().error) == (LinkStatus.REFUSED, "link.scope_missing")
    clock.advance(seconds=20)
    there.add_device("new")
    knock("new")
    follow("devices.")
    assert names() == ["new"]


def test_nobody_is_looked_at_without_service(
    edge: Edge, link: Link, look, there: Tailscale, rental: Rental, names
) -> None:
    there.add_device("laptop")
    link()
    edge(rentals.end, rental_id=rental.id, reason="test")
    assert look(0) == 0
    assert there.asked == []
    assert names() == []


def test_a_link_that_was_made_before_the_rental_is_looked_at_when_that_begins(
    do: Edge, edge: Edge, look, follow, there: Tailscale, rent, names, carl: Person
) -> None:
    there.add_device("laptop")
    facts = LinkFacts(
        kind=LinkKind.TAILSCALE, client_id=there.client_id, secret=there.client_secret
    )
    do(tailnets.create, facts=facts, outgoing=ANY)
    assert look(0) == 0
    rent(carl)
    follow("devices.")
    assert names() == ["laptop"]


def test_a_tailnet_is_leased_to_one(
    edge: Edge, link: Link, there: Tailscale, clock: MovableClock, names
) -> None:
    there.add_device("laptop")
    link()
    first = edge(links.lease_next)
    assert first is not None
    assert edge(links.lease_next) is None
    clock.advance(seconds=61)
    second = edge(links.lease_next)
    assert second is not None
    peers = [Peer("n1", key_of("old answer"), "old")]
    assert edge(links.follow, look=first, peers=peers, every=EVERY) is None  # overtaken
    assert names() == []
    newer = [Peer("n1", key_of("laptop"), "laptop")]
    assert edge(links.follow, look=second, peers=newer, every=EVERY) is not None
    assert names() == ["laptop"]


def test_an_answer_for_another_credential_is_dropped(
    do: Edge, edge: Edge, link: Link, there: Tailscale, names
) -> None:
    link()
    look = edge(links.lease_next)
    assert look is not None
    facts = LinkFacts(
        kind=LinkKind.TAILSCALE, client_id=there.client_id, secret=there.client_secret
    )
    do(tailnets.change, facts=facts, outgoing=ANY)
    peers = [Peer("n1", key_of("laptop"), "laptop")]
    assert edge(links.follow, look=look, peers=peers, every=EVERY) is None
    assert names() == []


def test_another_tailnet_asks_before_it_takes_all_away(
    do: Edge, link: Link, look, names, link_now
) -> None:
    with Headscale() as scale:
        scale.add_node("server")
        link()
        look(0)
        facts = LinkFacts(kind=LinkKind.HEADSCALE, address=scale.url, secret=scale.key)
        do(tailnets.change, facts=facts, outgoing=ANY)
        look(1)
        assert names() == ["server"]
        scale.nodes[0]["nodeKey"] = key_of("anew")
        scale.nodes[0]["givenName"] = "machine"
        look()
        assert names() == ["machine"]


@pytest.mark.usefixtures("rental")
def test_numbers_of_another_headscale_are_other_devices(do: Edge, look, names, link_now) -> None:
    with Headscale() as first, Headscale() as second:
        first.add_node("server")
        second.add_node("stranger")
        facts = LinkFacts(kind=LinkKind.HEADSCALE, address=first.url, secret=first.key)
        do(tailnets.create, facts=facts, outgoing=ANY)
        look(0)
        facts = LinkFacts(kind=LinkKind.HEADSCALE, address=second.url, secret=second.key)
        do(tailnets.change, facts=facts, outgoing=ANY)
        for _ in range(3):
            look()
        assert names() == ["server", "stranger"]
        assert link_now().held_removals == 1


def test_the_same_devices_under_other_ids_are_not_asked_about(
    do: Edge, link: Link, look, there: Tailscale, names, link_now, linked
) -> None:
    for name in ("laptop", "phone"):
        there.add_device(name)
    link()
    look(0)
    for device in there.devices:
        device["nodeId"] += "2"
    for _ in range(3):
        look()
    assert names() == ["laptop", "phone"]
    assert link_now().held_removals == 0
    assert {row.stable_id for row in linked().values()} == {"nlaptopCNTRL2", "nphoneCNTRL2"}


def test_a_removed_link_leaves_devices_alone(
    do: Edge, link: Link, look, follow, there: Tailscale, names, linked
) -> None:
    there.add_device("laptop")
    link()
    look(0)
    do(tailnets.remove)
    follow("devices.")
    assert names() == ["laptop"]
    assert linked() == {}
    assert look() == 0
    link()
    look()
    assert linked()["laptop"].status is LinkedStatus.FOLLOWED


def test_quiet_looks_cost_few_statements(
    link: Link, look, there: Tailscale, statements: list[str], rental: Rental
) -> None:
    for number in range(rental.device_limit):
        there.add_device(f"d{number}")
    link()
    look(0)
    look()
    statements.clear()
    assert look() == 1
    assert len(statements) <= 22, "\n".join(statements)
    statements.clear()
    assert look(5) == 0
    assert len(statements) <= 2


def test_what_is_listed_is_not_taken_on_trust() -> None:
    peers = [
        Peer("", key_of("a"), "no id"),
        Peer("x" * 65, key_of("b"), "long id"),
        Peer("n1", "mkey:" + "a" * 64, "no node key"),
        Peer("n2", key_of("c"), "\x1b[31mred\u202e" + "x" * 100),
        Peer("n2", key_of("d"), "twice"),
        Peer("n3", key_of("e").upper().replace("NODEKEY", "nodekey"), ""),
    ]
    found = {one.stable_id: one for one in listed_in(peers)}
    assert set(found) == {"n2", "n3"}
    assert found["n2"].node_key == key_of("c")
    assert found["n2"].name.startswith("[31mred")
    assert len(found["n2"].name) == 64
    assert found["n3"].node_key == key_of("e")
    assert found["n3"].name == key_of("e")[8:20]


def test_another_customers_linked_device_does_not_exist(
    edge_of, link: Link, look, there: Tailscale, linked, eve: Person
) -> None:
    there.add_device("laptop")
    link()
    look(0)
    linked_id = linked()["laptop"].id
    for verb in (links.include, links.leave_out):
        with pytest.raises(LinkedNotFound):
            edge_of(eve.actor)(verb, user_id=eve.id, linked_id=linked_id)


def test_routes_of_linked_devices(
    client: TestClient, link: Link, look, there: Tailscale, carl: Person, eve: Person, names
) -> None:
    there.add_device("laptop")
    there.add_device("phone")
    link()
    look(0)
    answer = client.get("/api/security/link/devices", headers=carl.headers)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert [one["name"] for one in shown["devices"]] == ["laptop", "phone"]
    assert shown["devices"][0]["allowed_actions"] == ["leave_out"]
    phone = shown["devices"][1]["id"]
    path = f"/api/security/link/devices/{phone}"
    assert client.post(f"{path}/leave_out", headers=eve.headers).status_code == 404
    left = client.post(f"{path}/leave_out", headers=carl.headers).json()["device"]
    assert (left["status"], left["allowed_actions"]) == ("left_out", ["include"])
    assert names() == ["laptop"]
    back = client.post(f"{path}/include", headers=carl.headers).json()["device"]
    assert back["status"] == "followed"
    assert client.post("/api/security/link/look", headers=carl.headers).status_code == 200
    assert look(1) == 1
    answer = client.post("/api/security/link/removals", json={"accept": True}, headers=carl.headers)
    assert answer.json()["error"]["code"] == "devices.nothing_held"
    assert client.get("/api/security/link/devices").status_code == 401


def test_rows_stay_sound(edge: Edge, link: Link, look, there: Tailscale, carl: Person) -> None:
    """Every followed row has a registered device with the same key, whatever happened."""
    import random

    chance = random.Random(7)
    link()
    for round_number in range(40):
        match chance.randrange(4):
            case 0:
                there.add_device(f"r{round_number}", isEphemeral=chance.random() < 0.3)
            case 1 if there.devices:
                there.devices.remove(chance.choice(there.devices))
            case 2 if there.devices:
                chance.choice(there.devices)["nodeKey"] = key_of(f"k{chance.randrange(12)}")
            case _:
                with edge.sessions.reading() as session:
                    devices = session.scalars(
                        select(Device.id).where(Device.status == DeviceStatus.REGISTERED)
                    ).all()
                if devices:
                    edge(service.remove, user_id=carl.id, device_id=chance.choice(devices))
        look(chance.choice([5, 20, 400]))
        with edge.sessions.reading() as session:
            rows = session.scalars(
                select(LinkedDevice).where(LinkedDevice.status == LinkedStatus.FOLLOWED)
            ).all()
            registered = session.scalars(
                select(Device.node_key).where(Device.status == DeviceStatus.REGISTERED)
            ).all()
            assert len(registered) == len(set(registered))
            for row in rows:
                device = session.get_one(Device, row.device_id)
                if device.status is DeviceStatus.REGISTERED:
                    assert device.node_key == row.node_key or not _is_unique(there, row)
            knocks = session.scalars(select(Knock).where(Knock.status == KnockStatus.WAITING)).all()
            assert knocks == []


def _is_unique(there: Tailscale, row: LinkedDevice) -> bool:
    return [one["nodeKey"] for one in there.devices].count(row.node_key) == 1
