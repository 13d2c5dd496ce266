from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derpman.acl.derpmap import Severity, document
from derpman.acl.forms import headscale_json, headscale_yaml, merge, snippet
from derpman.acl.lint import MAX_FINDINGS, lint
from tests.acl.policies import Policy, policies
from tests.acl.samples import codes, pin, slot, three

ENDS_AT = datetime(2026, 12, 26, tzinfo=UTC)


def policy_with(node: dict[str, Any], **region: Any) -> str:
    usual_node = {"Name": "950a", "RegionID": 950, "HostName": "relay.example.com"} | node
    kept_node = {key: value for key, value in usual_node.items() if value is not ...}
    usual = {"RegionID": 950, "RegionCode": "x", "RegionName": "X", "Nodes": [kept_node]} | region
    made = {key: value for key, value in usual.items() if value is not ...}
    return json.dumps({"derpMap": {"Regions": {"950": made}}})


@pytest.mark.parametrize("slots", [three(), (slot(1, address="2001:db8::1"),)])
def test_nothing_is_wrong_with_what_we_make(slots: Any):
    for text in (
        snippet(slots, version="3", ends_at=ENDS_AT).body.decode(),
        merge("", slots).text,
        headscale_json(slots).body.decode(),
        headscale_yaml(slots, version="3", ends_at=ENDS_AT).body.decode(),
    ):
        assert lint(text) == []


def test_nothing_is_wrong_with_a_relay_by_name():
    assert lint(policy_with({"STUNPort": 3478, "DERPPort": 443, "IPv4": "198.51.100.1"})) == []


@pytest.mark.parametrize(
    ("node", "code", "field"),
    [
        ({"HostName": "relay.example.com:8443"}, "node.host_port", "/HostName"),
        ({"HostName": "198.51.100.1:8443"}, "node.host_port", "/HostName"),
        ({"HostName": "[2001:db8::1]:8443"}, "node.host_port", "/HostName"),
        ({"HostName": "https://relay.example.com"}, "node.host_scheme", "/HostName"),
        ({"HostName": "relay.example.com/derp"}, "node.host_malformed", "/HostName"),
        ({"HostName": ""}, "node.host_missing", ""),
        ({"HostName": ...}, "node.host_missing", ""),
        ({"RegionID": ...}, "node.region_id_missing", ""),
        ({"RegionID": 951}, "node.region_id_mismatch", "/RegionID"),
        ({"RegionID": "950"}, "policy.wrong_type", "/RegionID"),
        ({"RegionID": 950.0}, "policy.wrong_type", "/RegionID"),
        ({"Name": ...}, "node.name_missing", ""),
        (
            {"CertName": pin("x").replace("sha256-raw:", "sha256-raw:A")[:-1]},
            "node.pin_case",
            "/CertName",
        ),
        ({"CertName": pin("x").removeprefix("sha256-raw:")}, "node.pin_malformed", "/CertName"),
        ({"CertName": pin("x")[:-1]}, "node.pin_malformed", "/CertName"),
        ({"CertName": "SHA256-RAW:" + "ab" * 32}, "node.pin_malformed", "/CertName"),
        ({"CertName": ":".join(["AB"] * 32)}, "node.pin_malformed", "/CertName"),
        ({"InsecureForTests": True}, "node.insecure", "/InsecureForTests"),
        ({"HostName": "198.51.100.1"}, "node.pin_missing", ""),
        ({"DERPPort": 65536}, "node.port_range", "/DERPPort"),
        ({"DERPPort": -1}, "node.port_range", "/DERPPort"),
        ({"DERPPort": "443"}, "policy.wrong_type", "/DERPPort"),
        ({"STUNPort": -2}, "node.port_range", "/STUNPort"),
        ({"STUNPort": -1}, "node.stun_off", "/STUNPort"),
        ({"IPv4": "2001:db8::1"}, "node.address_malformed", "/IPv4"),
        ({"IPv6": "198.51.100.1"}, "node.address_malformed", "/IPv6"),
        ({"IPv4": "none", "IPv6": "none"}, "node.no_address", ""),
        ({"STUNTestIP": "127.0.0.1"}, "node.test_address", "/STUNTestIP"),
        ({"Port": 443}, "policy.unknown_key", "/Port"),
        ({"hostname": "x"}, "policy.duplicate_key", "/hostname"),
    ],
)
def test_fault_of_a_node_is_found_with_its_place(node: dict[str, Any], code: str, field: str):
    findings = lint(policy_with(node))
    assert [(it.code, it.path) for it in findings] == [
        (code, f"/derpMap/Regions/950/Nodes/0{field}")
    ]
    assert findings[0].params["line"] == 1


@pytest.mark.parametrize(
    ("region", "code", "field"),
    [
        ({"RegionID": ...}, "region.region_id_missing", ""),
        ({"RegionID": 951}, "region.region_id_mismatch", "/RegionID"),
        ({"Nodes": []}, "region.no_nodes", ""),
        ({"Nodes": [], "Avoid": True}, "region.avoid_deprecated", "/Avoid"),
        ({"RegionCode": 1}, "policy.wrong_type", "/RegionCode"),
        ({"Latitude": 39.9}, None, ""),
    ],
)
def test_fault_of_a_region_is_found(region: dict[str, Any], code: str | None, field: str):
    found = [(it.code, it.path) for it in lint(policy_with({}, **region))]
    assert ((code, f"/derpMap/Regions/950{field}") in found) if code else found == []


def test_faults_of_the_map_as_a_whole():
    node = {"Name": "a", "RegionID": 950, "HostName": "h"}
    region = {"RegionID": 950, "Nodes": [node]}
    regions = {"950": region, "951": {"RegionID": 951, "Nodes": [{**node, "RegionID": 951}]}}
    assert codes(lint(json.dumps({"derpMap": {"Regions": regions}}))) == ["node.name_duplicate"]
    for number, code in ((999, "region.id_unwise"), (10, "region.id_not_for_users")):
        made = {str(number): {"RegionID": number, "Nodes": [{**node, "RegionID": number}]}}
        (finding,) = lint(json.dumps({"derpMap": {"Regions": made}}))
        assert (finding.code, finding.severity) == (code, Severity.WARNING)
    assert codes(lint('{"derpMap": {"Regions": {"x": {}}}}')) == ["region.key_not_a_number"]
    assert codes(lint('{"derpMap": {"Regions": {"1": null}}}')) == []
    assert codes(lint('{"derpMap": {}, "derpmap": {}}')) == ["policy.duplicate_key"]
    assert codes(lint('{"derpMap": {"Regions": {"950": null, "950": null}}}')) == [
        "policy.duplicate_key"
    ]


def test_clash_with_our_region_ids_offers_free_ones():
    source = policy_with({})
    assert lint(source, slots=three()) == []
    (finding,) = lint(source, slots=[slot(1, region_id=950), *three()[1:]])
    assert finding.code == "region.clash"
    assert finding.params["free"] == [931, 934, 935]


def test_our_own_regions_in_a_policy_are_no_clash():
    earlier = [slot(number, port=30000 + number, pin=pin(f"old {number}")) for number in (1, 2, 3)]
    for inside in (three(), earlier):
        text = merge("", inside).text
        assert lint(text, slots=three(), known=earlier) == []
    assert codes(lint(merge("", earlier).text, slots=three())) == ["region.clash"] * 3
    yaml = headscale_yaml(three(), version="1", ends_at=ENDS_AT)
    assert lint(yaml.body.decode(), slots=three()) == []


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("", "policy.empty"),
        ("{", "policy.syntax"),
        ("[]", "policy.not_object"),
        ("// nothing\n", "policy.not_object"),
        ('{"acls": []}', "derp_map.missing"),
        ('{"derpMap": []}', "policy.wrong_type"),
        ('{"derpMap": {"Regions": []}}', "policy.wrong_type"),
        ("regions: [", "yaml.syntax"),
        ("just words", "policy.not_object"),
        ("a: &x 1\nb: *x\n", "yaml.syntax"),
        ("a: \x01", "yaml.syntax"),
        ("? [a]\n: b\n", "yaml.syntax"),
        ("- " * 200, "yaml.syntax"),
        ("a: b\n" * 20_000, "policy.too_big"),
        ("derpMap:\n  Regions: {}\n", "yaml.derp_map_wrapper"),
    ],
)
def test_text_that_is_none_of_the_forms_gets_one_finding(source: str, code: str):
    assert codes(lint(source)) == [code]


def test_bare_map_and_bare_member_are_read_too():
    bare = json.dumps(document([slot(1, pin="")]))
    assert [it.path for it in lint(bare)] == ["/Regions/931/Nodes/0"]
    assert [it.path for it in lint('"derpMap": ' + bare)] == ["/derpMap/Regions/931/Nodes/0"]


def test_yaml_in_the_spelling_of_json_is_silently_ignored_by_headscale_and_found_here():
    source = "Regions:\n  931:\n    RegionID: 931\n    nodes: []\n"
    findings = [(it.code, it.path, it.params["line"]) for it in lint(source)]
    assert ("yaml.key_case", "/Regions", 2) in findings
    assert ("yaml.key_case", "/Regions/931/RegionID", 3) in findings
    (wanted,) = {it.params["wanted"] for it in lint(source) if it.path.endswith("RegionID")}
    assert wanted == "regionid"


def test_yaml_scalars_are_what_yaml_1_2_takes_them_for():
    source = headscale_yaml([slot(1)], version="1", ends_at=ENDS_AT).body.decode()
    assert lint(source.replace("regioncode: bj1", "regioncode: 17")) == []
    assert lint(source.replace("regioncode: bj1", "regioncode: on")) == []
    assert codes(lint(source.replace("derpport: 20441", "derpport: '20441'"))) == [
        "policy.wrong_type"
    ]
    assert codes(lint(source.replace("derpport: 20441", "derpport: 1.5"))) == ["policy.wrong_type"]


def test_findings_follow_the_text_and_end_somewhere():
    source = '{"derpMap": {"Regions": {' + ",\n".join(f'"{n}x": 1' for n in range(999)) + "}}}"
    findings = lint(source)
    assert len(findings) == MAX_FINDINGS
    assert [it.params["line"] for it in findings] == list(range(1, MAX_FINDINGS + 1))


@given(policies())
def test_any_policy_is_linted(policy: Policy):
    lint(policy.text, slots=[slot(1, region_id=950)])


@given(st.text() | st.text(alphabet="{}[],:\"-?&*!|>'%@ \na1#"))
def test_any_text_is_linted(source: str):
    lint(source)
