"""One device from many networks, floods of unknown devices; and near misses."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import pytest
from sqlalchemy import func, select

from derpman.containers.models import Placement
from derpman.devices import anomalies, sightings
from derpman.devices.models import DeviceNetwork
from derpman.devices.sightings import PresenceBook
from derpman.kit.work import Edge
from tests.conftest import Person

KEY = "nodekey:" + "a1" * 32


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("198.51.100.7", "198.51.100.0/24"),
        ("198.51.100.7:4711", "198.51.100.0/24"),
        ("2001:db8:1:2::7", "2001:db8:1::/48"),
        ("[2001:db8:1:2::7]:4711", "2001:db8:1::/48"),
        ("::ffff:198.51.100.7", "198.51.100.0/24"),
        ("[::ffff:198.51.100.7]:1", "198.51.100.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("nonsense", None),
        ("", None),
        ("[", None),
    ],
)
def test_networks_of_addresses(address: str, network: str | None):
    assert anomalies.network_of(address) == network


class Nodes:
    """Tells of Carl's relays as their nodes would."""

    def __init__(self, edge: Edge, relays: Sequence[Placement]) -> None:
        self.edge = edge
        self.relays = relays
        self.book = PresenceBook()

    def come(self, address: str, key: str = KEY, relay: int = 0) -> None:
        one = self.relays[relay]
        snapshot = {
            "whole": True,
            "relays": [{"id": one.id, "presence": [{"key": key, "address": address}]}],
        }
        self.edge(
            sightings.record_presence,
            server_id=one.server_id,
            snapshot=snapshot,
            book=self.book,
        )

    def knock(self, key: str, relay: int = 0) -> None:
        one = self.relays[relay]
        knock = {"relay": one.id, "key": key, "address": "198.51.100.9"}
        self.edge(sightings.record_knocks, server_id=one.server_id, knocks=[knock])


@pytest.fixture
def nodes(edge: Edge, relays: list[Placement]) -> Nodes:
    return Nodes(edge, relays)


def networks_found(edge: Edge) -> list[int]:
    return [finding.params["networks"] for finding in edge.read(anomalies.many_addresses)]


def devices_found(edge: Edge) -> list[int]:
    return [finding.params["devices"] for finding in edge.read(anomalies.unknown_floods)]


def test_one_device_from_many_networks(edge: Edge, nodes: Nodes, carl: Person, clock):
    for number in range(7):
        nodes.come(f"198.51.{number}.7:1000", relay=number % 3)
        clock.advance(minutes=5)
    assert networks_found(edge) == []
    nodes.come("198.51.7.7:1000")
    (finding,) = edge.read(anomalies.many_addresses)
    assert (finding.user_id, finding.params["networks"]) == (carl.id, 8)
    assert finding.params["node_key"] == KEY
    assert len(f"many_addresses:{finding.key}") <= 128
    clock.advance(minutes=26)
    assert networks_found(edge) == [], "the first was an hour ago"


def test_many_addresses_of_one_network_are_one(edge: Edge, nodes: Nodes, clock):
    for number in range(40):
        nodes.come(f"198.51.100.{number}:{1000 + number}", relay=number % 3)
        clock.advance(minutes=1)
    assert networks_found(edge) == []
    with edge.sessions.reading() as session:
        assert session.scalar(select(func.count()).select_from(DeviceNetwork)) == 1


def test_many_networks_over_a_day_are_a_traveller(edge: Edge, nodes: Nodes, clock):
    for number in range(24):
        nodes.come(f"198.51.{number}.7:1000")
        clock.advance(minutes=12)
        assert networks_found(edge) == []


def test_many_devices_have_networks_of_their_own(edge: Edge, nodes: Nodes):
    for number in range(20):
        nodes.come(f"198.51.{number}.7:1000", key=f"nodekey:{number:064x}")
    assert networks_found(edge) == []


def test_a_device_that_stays_is_written_once(edge: Edge, nodes: Nodes, statements: list[str]):
    nodes.come("198.51.100.7:1000")
    statements.clear()
    nodes.come("198.51.100.7:1000")
    assert statements == []


def test_old_networks_are_forgotten(edge: Edge, nodes: Nodes, clock):
    nodes.come("198.51.100.7:1000")
    clock.advance(days=8)
    edge(anomalies.forget_networks)
    with edge.sessions.reading() as session:
        assert session.scalar(select(func.count()).select_from(DeviceNetwork)) == 0


def test_a_flood_of_unknown_devices(edge: Edge, nodes: Nodes, carl: Person, clock):
    for _ in range(19):
        nodes.knock(f"nodekey:{secrets.token_hex(32)}")
        clock.advance(seconds=20)
    assert devices_found(edge) == []
    nodes.knock(f"nodekey:{secrets.token_hex(32)}", relay=1)
    (finding,) = edge.read(anomalies.unknown_floods)
    assert (finding.user_id, finding.params["devices"]) == (carl.id, 20)
    clock.advance(minutes=10)
    assert devices_found(edge) == []


def test_one_device_that_knocks_on_is_no_flood(edge: Edge, nodes: Nodes, clock):
    for _ in range(60):
        nodes.knock(KEY)
        clock.advance(seconds=5)
    assert devices_found(edge) == []
