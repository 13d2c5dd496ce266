from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derpman.acl.derpmap import (
    Slot,
    Unfit,
    document,
    free_region_bases,
    free_region_ids,
    is_own_region_base,
    slots_of,
    to_json,
    validate,
    validated,
)
from tests.acl.samples import codes, pin, slot, three

GOLDEN = (
    '{"OmitDefaultRegions":false,"Regions":{"931":{"RegionID":931,"RegionCode":"bj1",'
    '"RegionName":"北京 1","Nodes":[{"Name":"931a","RegionID":931,"HostName":"203.0.113.1",'
    '"IPv4":"203.0.113.1","IPv6":"none","DERPPort":20441,"STUNPort":23471,'
    f'"CertName":"{pin("slot 1")}"}}]}}}}}}'
)


def faults(made: dict[str, Any]) -> list[str]:
    with pytest.raises(Unfit) as caught:
        validate(made)
    return codes(caught.value.findings)


def test_bytes_are_these_and_no_others():
    assert to_json(validated([slot(1)])).decode() == GOLDEN


def test_order_of_slots_does_not_reach_the_bytes():
    one, two, three_ = three()
    assert to_json(document([three_, one, two])) == to_json(document([one, two, three_]))


def test_ipv6_server_is_reached_over_ipv6_alone():
    made = validated([slot(1, address="2001:DB8:0::5")])
    node = made["Regions"]["931"]["Nodes"][0]
    assert (node["HostName"], node["IPv4"], node["IPv6"]) == ("2001:db8::5", "none", "2001:db8::5")


def test_slots_come_back_out_of_the_stored_document():
    assert slots_of(json.loads(to_json(validated(three())))) == three()


def test_omitting_default_regions_is_a_choice():
    assert document(three())["OmitDefaultRegions"] is False
    assert validated(three(), omit_default_regions=True)["OmitDefaultRegions"] is True


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"region_id": 900}, "region.id_refused"),
        ({"region_id": 901}, "region.id_refused"),
        ({"region_id": 999}, "region.id_refused"),
        ({"region_id": 899}, "region.id_refused"),
        ({"region_id": 1000}, "region.id_refused"),
        ({"code": "Beijing one"}, "region.code_malformed"),
        ({"code": ""}, "region.code_malformed"),
        ({"name": ""}, "region.name_malformed"),
        ({"name": "a\nb"}, "region.name_malformed"),
        ({"name": "x" * 65}, "region.name_malformed"),
        ({"node_name": "931 a"}, "node.name_malformed"),
        ({"pin": pin("x").upper()}, "node.pin_malformed"),
        ({"pin": "sha256-raw:" + "AB" * 32}, "node.pin_malformed"),
        ({"pin": pin("x") + "\n"}, "node.pin_malformed"),
        ({"pin": "ab" * 32}, "node.pin_malformed"),
        ({"pin": ""}, "node.pin_malformed"),
        ({"port": 0}, "node.port_range"),
        ({"port": 65536}, "node.port_range"),
        ({"stun_port": -1}, "node.port_range"),
        ({"address": "203.0.113.9:443"}, "node.host_not_an_address"),
        ({"address": "https://203.0.113.9"}, "node.host_not_an_address"),
        ({"address": "relay.example.com"}, "node.host_not_an_address"),
        ({"address": "fe80::1%eth0"}, "node.host_not_an_address"),
        ({"address": "::ffff:203.0.113.9"}, "node.host_not_an_address"),
        ({"address": "0.0.0.0"}, "node.host_not_an_address"),
        ({"address": "203.0.113.09"}, "node.host_not_an_address"),
        ({"address": ""}, "node.host_not_an_address"),
        ({"address": "2001:db8::1", "port": 443}, "node.ipv6_port_443"),
    ],
)
def test_fault_of_a_slot_is_named(changes: dict[str, Any], code: str):
    assert faults(document([slot(1, **changes)])) == [code]


def test_all_faults_are_told_at_once_with_their_places():
    with pytest.raises(Unfit) as caught:
        validated([slot(1, port=0), slot(2, pin="")])
    assert [(finding.code, finding.path) for finding in caught.value.findings] == [
        ("node.port_range", "/Regions/931/Nodes/0/DERPPort"),
        ("node.pin_malformed", "/Regions/932/Nodes/0/CertName"),
    ]
    assert caught.value.findings[0].params == {"port": 0}


def test_slots_that_get_in_each_others_way_are_refused():
    with pytest.raises(Unfit) as caught:
        validated([slot(1), slot(2, region_id=931)])
    assert codes(caught.value.findings) == ["region.duplicate"]
    assert faults(document([slot(1), slot(2, node_name="931a")])) == ["node.name_duplicate"]
    twin = slot(2, address=slot(1).address, port=slot(1).port)
    assert faults(document([slot(1), twin])) == ["node.endpoint_duplicate"]
    assert faults(document([*three(), slot(4)])) == ["document.region_count"]
    assert faults(document([])) == ["document.region_count"]


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        (("Regions", "931", "RegionID"), 932, "region.id_mismatch"),
        (("Regions", "931", "Nodes", 0, "RegionID"), 932, "node.region_id_mismatch"),
        (("Regions", "931", "Nodes", 0, "IPv4"), "203.0.113.2", "node.address_inconsistent"),
        (("Regions", "931", "Nodes", 0, "IPv6"), "", "node.address_inconsistent"),
        (("Regions", "931", "Nodes", 0, "DERPPort"), "20441", "document.shape"),
        (("Regions", "931", "Nodes", 0, "DERPPort"), True, "document.shape"),
        (("Regions", "931", "Nodes", 0, "CertName"), None, "document.shape"),
        (("Regions", "931", "Nodes", 0, "InsecureForTests"), True, "document.shape"),
        (("Regions", "931", "Nodes"), [], "document.shape"),
        (("Regions", "931"), None, "document.shape"),
        (("Regions",), None, "document.shape"),
        (("OmitDefaultRegions",), 1, "document.shape"),
        (("Regions", "931", "Avoid"), False, "document.shape"),
        (("HomeParams",), {}, "document.shape"),
    ],
)
def test_document_altered_by_hand_is_refused(path: tuple[Any, ...], value: object, code: str):
    made = json.loads(to_json(document([slot(1)])))
    owner = made
    for step in path[:-1]:
        owner = owner[step]
    owner[path[-1]] = value
    assert code in faults(made)


def test_regions_out_of_order_are_refused():
    made = document(three())
    made["Regions"] = dict(reversed(made["Regions"].items()))
    assert faults(made) == ["document.shape"]


def test_free_bases_are_free_with_the_next_two_and_do_not_overlap():
    assert free_region_bases(()) == [931, 934, 937]
    assert free_region_bases({932, 936}) == [933, 937, 940]
    assert free_region_bases(range(931, 1000)) == [902, 905, 908]
    assert free_region_bases(range(904, 1000)) == []
    assert is_own_region_base(996)
    assert not is_own_region_base(997)
    assert not is_own_region_base(899)


def test_free_region_ids_follow_the_usual_ones_and_avoid_the_known():
    assert free_region_ids({931, 933}) == [932, 934, 935]
    assert free_region_ids(range(931, 1000)) == [902, 903, 904]
    assert free_region_ids(range(900, 1000)) == []
    assert not {900, 901, 999} & set(free_region_ids((), count=100))


slots = st.builds(
    Slot,
    region_id=st.integers(902, 998),
    code=st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True),
    name=st.text(min_size=1, max_size=20),
    node_name=st.from_regex(r"[0-9]{3}[a-z]", fullmatch=True),
    address=st.ip_addresses().map(str),
    port=st.integers(0, 65536),
    stun_port=st.integers(1, 65535),
    pin=st.text().map(pin),
)


@given(st.lists(slots, max_size=4))
def test_what_passes_is_stable_and_comes_back(given_slots: list[Slot]):
    try:
        made = validated(given_slots)
    except Unfit:
        return
    text = to_json(made)
    assert to_json(json.loads(text)) == text
    assert to_json(validated(slots_of(json.loads(text)))) == text
