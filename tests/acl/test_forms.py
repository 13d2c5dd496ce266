from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given, settings

from derpman.acl.derpmap import Slot, Unfit, document, to_json
from derpman.acl.forms import (
    Form,
    Merged,
    headscale_json,
    headscale_yaml,
    merge,
    policy,
    remove,
    snippet,
)
from derpman.acl.hujson import read
from tests.acl.policies import Policy, policies
from tests.acl.samples import codes, pin, slot, three

ENDS_AT = datetime(2026, 12, 26, 4, 30, tzinfo=UTC)


def plain(source: str) -> Any:
    root = read(source).root
    return root.plain() if root else None


def same_names(value: dict[str, Any]) -> dict[str, Any]:
    """Spell derpMap and Regions in one way."""
    made = {("derpMap" if key.lower() == "derpmap" else key): inner for key, inner in value.items()}
    if isinstance(made.get("derpMap"), dict):
        inner = made["derpMap"]
        made["derpMap"] = {
            ("Regions" if k.lower() == "regions" else k): v for k, v in inner.items()
        }
    return made


def refused(source: str, *args: Any, **options: Any) -> list[str]:
    with pytest.raises(Unfit) as caught:
        merge(source, *args, **options)
    return codes(caught.value.findings)


# Forms


def all_forms(slots: tuple[Slot, ...]) -> list[Form]:
    return [
        snippet(slots, version="3", ends_at=ENDS_AT),
        policy(merge("{}", slots)),
        headscale_json(slots),
        headscale_yaml(slots, version="3", ends_at=ENDS_AT),
    ]


def test_every_form_has_its_name_type_and_tag():
    kinds = [(form.file_name, form.media_type) for form in all_forms(three())]
    assert kinds == [
        ("derpmap.hujson", "application/hujson"),
        ("policy.hujson", "application/hujson"),
        ("derp.json", "application/json"),
        ("derp.yaml", "application/yaml"),
    ]
    for form in all_forms(three()):
        assert form.etag == f'"{hashlib.sha256(form.body).hexdigest()}"'


def test_order_of_slots_changes_no_byte_of_any_form():
    one, two, three_ = three()
    assert all_forms((three_, one, two)) == all_forms((one, two, three_))


def test_unfit_slots_never_leave_in_any_form():
    for make in (
        lambda: snippet([slot(pin="x")], version="1", ends_at=ENDS_AT),
        lambda: headscale_json([slot(pin="x")]),
        lambda: headscale_yaml([slot(pin="x")], version="1", ends_at=ENDS_AT),
        lambda: merge("", [slot(pin="x")]),
    ):
        with pytest.raises(Unfit):
            make()


def test_snippet_can_stand_before_other_members_and_names_version_and_end():
    body = snippet(three(), version="3", ends_at=ENDS_AT).body.decode()
    assert plain("{" + body + '"acls": []}') == {"derpMap": document(three()), "acls": []}
    assert (
        body.count("// DERP Management, ACL version 3, works until 2026-12-26 12:30 (UTC+8)") == 3
    )


def test_remark_must_not_break_out_of_its_comment():
    with pytest.raises(ValueError, match="one line"):
        snippet(three(), version="3\n}", ends_at=ENDS_AT)


def test_merge_replaces_the_remarks_of_an_old_snippet():
    old = "{" + snippet(three(), version="3", ends_at=ENDS_AT).body.decode() + "}"
    merged = merge(old, three(port=20999)).text
    assert "version 3" not in merged
    assert plain(merged) == {"derpMap": document(three(port=20999))}


def test_headscale_json_is_the_bare_map():
    assert headscale_json(three()).body == to_json(document(three()))


def test_headscale_yaml_has_lower_case_keys_and_the_same_values():
    made = yaml.safe_load(headscale_yaml(three(), version="3", ends_at=ENDS_AT).body)
    regions = document(three())["Regions"]
    assert list(made) == ["regions"]
    assert list(made["regions"]) == [931, 932, 933]
    for number, region in made["regions"].items():
        wanted = regions[str(number)]
        assert list(region) == ["regionid", "regioncode", "regionname", "nodes"]
        assert region["nodes"][0] == {k.lower(): v for k, v in wanted["Nodes"][0].items()}


def test_headscale_yaml_quotes_what_yaml_would_take_for_something_else():
    text = headscale_yaml([slot(code="no", name="1:30")], version="3", ends_at=ENDS_AT).body
    assert yaml.safe_load(text)["regions"][931]["regioncode"] == "no"
    assert yaml.safe_load(text)["regions"][931]["regionname"] == "1:30"


# Merging


@pytest.mark.parametrize("source", ["", "  \n", "// mine", "/* mine */\n"])
def test_nothing_pasted_gives_a_policy_of_the_derp_map_alone_and_says_so(source: str):
    merged = merge(source, three(), omit_default_regions=True)
    assert merged.created
    assert merged.text.startswith(source.strip())
    assert plain(merged.text) == {"derpMap": document(three(), omit_default_regions=True)}
    again = merge(merged.text, three(), omit_default_regions=True)
    assert again == Merged(merged.text, created=False)


def test_comments_and_layout_stay_where_a_derp_map_is_added():
    source = '{\n  // who\n  "acls": [], // all\n\n  /* later\n  "ssh": [] */\n}\n'
    merged = merge(source, [slot(1)]).text
    head, tail = source[:-3], source[-3:]
    assert merged.startswith(head.replace('"acls": [],', '"acls": [],'))
    assert merged.endswith(tail)
    assert plain(merged) == {"acls": [], "derpMap": document([slot(1)])}


def test_his_own_regions_and_choices_stay():
    source = """{
  "derpMap": {
    "OmitDefaultRegions": true, // only mine
    "Regions": {
      "1": null, // no New York
      "950": {"RegionID": 950, "Nodes": [{"Name": "950a"}]}, /* the cellar */
    },
  },
}"""
    merged = merge(source, three())
    for kept in ("// only mine", '"1": null, // no New York', "/* the cellar */"):
        assert kept in merged.text
    got = plain(merged.text)["derpMap"]
    assert got["OmitDefaultRegions"] is True
    assert list(got["Regions"]) == ["1", "950", "931", "932", "933"]
    assert codes(merged.notes) == ["omit_default_regions.kept"]
    assert merge(source, three(), omit_default_regions=True).notes == ()
    assert remove(merged.text, three()) == source


@pytest.mark.parametrize(
    "source",
    [
        '{"derpMap": null}',
        '{"DERPMap": {}}',
        '{"derpmap": {"regions": null}}',
        '{"DERPMAP": {"REGIONS": {}}}',
        '{"derpMap": {"Regions": {"931": null}}}',
    ],
)
def test_empty_places_for_the_regions_are_filled(source: str):
    got = same_names(plain(merge(source, three()).text))
    assert got["derpMap"]["Regions"] == document(three())["Regions"]


def test_new_ports_replace_old_ones_in_place():
    source = merge('{"acls": [],\n  "derpMap": {"Regions": {}}, // here\n}', three()).text
    moved = tuple(replace(it, port=it.port + 100, pin=pin(it.name)) for it in three())
    merged = merge(source, moved, known=three()).text
    assert plain(merged)["derpMap"]["Regions"] == document(moved)["Regions"]
    assert "// here" in merged
    assert len(merged.splitlines()) == len(source.splitlines())


def test_region_known_by_address_and_port_is_ours_though_its_pin_was_dropped():
    source = (
        '{"derpMap": {"Regions": {"931": {"Nodes": [{"IPv4": "203.0.113.1", "DERPPort": 20441}]}}}}'
    )
    merged = merge(source, [slot(1, port=30000)], known=[slot(1)]).text
    assert plain(merged)["derpMap"]["Regions"] == document([slot(1, port=30000)])["Regions"]


def test_region_of_ours_under_an_id_no_longer_used_goes():
    source = merge('{"derpMap": {"Regions": {"950": {}}}}', three()).text
    renumbered = tuple(replace(it, region_id=it.region_id + 10) for it in three())
    merged = merge(source, renumbered, known=three()).text
    assert list(plain(merged)["derpMap"]["Regions"]) == ["950", "941", "942", "943"]


@pytest.mark.parametrize(
    "region",
    [
        '{"Nodes": [{"Name": "x", "HostName": "198.51.100.7", "DERPPort": 20441}]}',
        '{"Nodes": []}',
        "{}",
        "[]",
        '{"Nodes": [{"HostName": "203.0.113.1", "DERPPort": 443}]}',
    ],
)
def test_his_relay_under_an_id_of_ours_is_a_clash_with_free_ids(region: str):
    source = '{"derpMap": {"Regions": {"934": {}, "932": ' + region + "}}}"
    with pytest.raises(Unfit) as caught:
        merge(source, three())
    (finding,) = caught.value.findings
    assert (finding.code, finding.path) == ("region.clash", "/derpMap/Regions/932")
    assert finding.params == {
        "line": 1,
        "column": 37,
        "region_id": 932,
        "free": [935, 936, 937],
        "free_bases": [935, 938, 941],
    }


def test_region_shared_by_a_node_of_his_and_one_of_ours_is_a_clash():
    ours = json.dumps(document([slot(1)])["Regions"]["931"]["Nodes"][0])
    source = '{"derpMap": {"Regions": {"931": {"Nodes": [' + ours + ', {"Name": "x"}]}}}}'
    assert "region.clash" in refused(source, three())


def test_id_spelt_in_another_way_is_the_same_id():
    source = '{"derpMap": {"Regions": {"+0932": {"Nodes": [{"HostName": "h"}]}}}}'
    assert refused(source, three()) == ["region.clash"]


def test_node_name_in_use_elsewhere_in_the_map_is_refused():
    source = '{"derpMap": {"Regions": {"950": {"Nodes": [{"Name": "932a"}]}}}}'
    assert refused(source, three()) == ["node.name_taken"]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ('{"derpMap": {}, "DERPMap": {}}', "policy.duplicate_key"),
        ('{"derpMap": {"Regions": {}, "regions": {}}}', "policy.duplicate_key"),
        ('{"derpMap": {"Regions": {"931": null, "931": null}}}', "policy.duplicate_key"),
        ("[]", "policy.not_object"),
        ("1", "policy.not_object"),
        ('{"derpMap": []}', "policy.not_object"),
        ('{"derpMap": {"Regions": []}}', "policy.not_object"),
        ('{"derpMap": {', "policy.syntax"),
        ('{"a": "' + "x" * 600_000 + '"}', "policy.too_big"),
    ],
)
def test_policy_that_cannot_be_merged_into_is_refused(source: str, code: str):
    assert refused(source, three()) == [code]


def test_comment_at_the_very_end_gets_the_newline_tailscale_wants():
    assert merge('{"derpMap": {"Regions": {}}} // end', three()).text.endswith("// end\n")
    assert merge('{"a": "//"}', three()).text.endswith("}")


def test_many_regions_of_ours_go_in_one_pass():
    region = json.dumps(document([slot(1)])["Regions"]["931"])
    many = ", ".join(f'"{"0" * (n % 15)}{n}": {region}' for n in range(1, 900))
    merged = merge('{"derpMap": {"Regions": {' + many + "}}}", three()).text
    assert plain(merged) == {"derpMap": {"Regions": document(three())["Regions"]}}


# Removing


def test_removing_from_a_policy_without_our_regions_changes_nothing():
    for source in ("", '{"derpMap": {"Regions": {"931": {}}}} ', '{"derpMap": null}', "{\n}"):
        assert remove(source, three()) == source


def test_derp_map_of_nothing_but_ours_goes_as_a_whole():
    source = '{\n  "acls": [] // all\n}\n'
    merged = merge(source, three(), omit_default_regions=True).text
    assert remove(merged, three()) == source


def test_derp_map_with_something_of_his_stays():
    for inner in ('"HomeParams": {}, "Regions": {}', '"Regions": {} /* mine */'):
        merged = merge('{"derpMap": {' + inner + "}}", three()).text
        assert plain(remove(merged, three()))["derpMap"]["Regions"] == {}


# Showing


# For every policy


@settings(max_examples=300)
@given(policies())
def test_merging_keeps_everything_else_and_can_be_undone(given_policy: Policy):
    source, wanted = given_policy.text, given_policy.plain
    assert same_names(plain(source)) == wanted

    merged = merge(source, three())
    assert merge(merged.text, three()).text == merged.text

    got = same_names(plain(merged.text))
    regions = document(three())["Regions"]
    his_map = wanted.get("derpMap")
    if his_map is None:
        assert got == {**wanted, "derpMap": document(three())}
    else:
        his_regions = his_map.get("Regions") or {}
        assert got == {**wanted, "derpMap": {**his_map, "Regions": {**his_regions, **regions}}}

    assert _skeleton(_cut(merged.text, wanted)) == _skeleton(_cut(source, wanted))
    if not _has_null(wanted):
        assert _is_subsequence(source, merged.text)  # so white space was only added

    again = same_names(plain(remove(merged.text, three())))
    assert _meaning(again) == _meaning(wanted)


def _meaning(policy_: dict[str, Any]) -> dict[str, Any]:
    """Reduce a policy to what matters to Tailscale: an empty derpMap is none."""
    derp_map = dict(policy_.get("derpMap") or {})
    if not derp_map.get("Regions"):
        derp_map.pop("Regions", None)
        derp_map.pop("OmitDefaultRegions", None)
    rest = {key: value for key, value in policy_.items() if key != "derpMap"}
    return {**rest, "derpMap": derp_map} if derp_map else rest


_TOKENS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\]|\\.)*"|[^\s,]', re.DOTALL)


def _skeleton(source: str) -> list[str]:
    """Return a text's comments, strings and signs, without commas and white space between them."""
    return [token.rstrip("\r") for token in _TOKENS.findall(source)]


def _has_null(wanted: dict[str, Any]) -> bool:
    """Say whether a null of his gave way to our value."""
    derp_map = wanted.get("derpMap", {})
    return derp_map is None or derp_map.get("Regions", {}) is None


def _cut(text: str, wanted: dict[str, Any]) -> str:
    """Cut out what merging added to a policy, or replaced in it."""
    root = read(text).root
    assert root is not None
    owner, name = root, "derpMap"
    his_map = wanted.get("derpMap")
    if his_map is not None:
        owner, name = owner.named("derpMap")[0].value, "Regions"
    if his_map is not None and his_map.get("Regions") is not None:
        owner = owner.named("Regions")[0].value
        cut = [it for it in owner.members if it.key in {"931", "932", "933"}]
    else:
        cut = owner.named(name)
    keeps_key = _has_null(wanted)
    for member in reversed(cut):
        start = member.value.start if keeps_key else member.start
        text = text[:start] + text[member.value.end :]
    return text


def _is_subsequence(short: str, long: str) -> bool:
    rest = iter(long)
    return all(character in rest for character in short)
