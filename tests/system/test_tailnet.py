"""Real Tailscale clients use a relay of the fleet, and nothing else."""

from collections.abc import Iterator

import pytest

from tests.system import bare_relay
from tests.system.bare_relay import BareRelay
from tests.system.fleet import Fleet
from tests.system.gap import Watch
from tests.system.processes import wait_until
from tests.system.tailnet import Client, Control, connect_all, derp_map

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def relay(fleet: Fleet) -> Iterator[BareRelay]:
    """A relay from an image from scratch, on the host network."""
    relay = bare_relay.start(fleet.server("n1"))
    yield relay
    relay.remove()


@pytest.fixture
def pair(fleet: Fleet, control: Control, relay: BareRelay) -> Iterator[list[Client]]:
    control.push(derp_map(relay.region(931, "one")))
    clients = connect_all(fleet.clients[:2], control, wait=lambda one: one.wait_for_home([931]))
    yield clients
    for client in clients:
        client.stop()


def sent(relay: BareRelay) -> int:
    return relay.variables()["derp"]["bytes_sent"]


def test_two_clients_meet_through_the_relay(pair: list[Client], relay: BareRelay) -> None:
    a, b = pair
    assert a.wait_for_ping(b) == "one"
    before = sent(relay)
    a.fetch(b, 1_000_000)
    assert sent(relay) - before > 1_000_000
    assert {node.key for node in a.control.nodes()} == {a.key, b.key}
    assert a.knows(b)


def test_clients_without_udp_meet_there_too(
    fleet: Fleet, control: Control, relay: BareRelay
) -> None:
    control.push(derp_map(relay.region(931, "one")))
    machines = fleet.clients[2:4]
    for machine in machines:
        machine.block(str(fleet.subnet), protocol="udp")
    try:
        a, b = connect_all(machines, control, wait=lambda one: one.wait_for_home([931]))
        assert a.wait_for_ping(b) == "one"
        a.stop()
        b.stop()
    finally:
        for machine in machines:
            machine.unblock()


def test_a_new_map_moves_clients_to_another_relay(
    fleet: Fleet, pair: list[Client], relay: BareRelay
) -> None:
    a, b = pair
    a.wait_for_ping(b)
    other = bare_relay.start(fleet.server("n2"))
    try:
        with Watch(a, b) as watch:
            a.control.push(derp_map(other.region(931, "two")))
            # A new connection may fail while they move; one that has met there may not.
            wait_until(lambda: a.ping(b) == "two", 30, "they meet at the other relay")
            for one in pair:
                one.fetch(b if one is a else a, 1000)
        assert watch.gap.answered > 0
        assert watch.gap.longest_gap_s > 0
    finally:
        other.remove()


def test_another_tailnet_is_a_stranger(fleet: Fleet, pair: list[Client], relay: BareRelay) -> None:
    other = Control(fleet.ctl, port=9810, name="other")
    other.push(derp_map(relay.region(931, "one")))
    stranger = Client(fleet["c4"], other, name="stranger").up()  # state of its own
    try:
        stranger.wait_for_home([931])
        assert not stranger.knows(pair[0])
        assert stranger.key not in {node.key for node in pair[0].control.nodes()}
    finally:
        stranger.stop()
        other.stop()


def test_a_client_keeps_its_key_over_a_restart_and_not_over_a_forced_login(
    pair: list[Client],
) -> None:
    a = pair[0]
    key = a.key
    a.kill()
    a.start()
    a.wait_for_home([931])
    assert a.key == key
    a.new_key()
    assert a.key != key
