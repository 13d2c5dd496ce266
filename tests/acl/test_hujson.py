from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derpman.acl.derpmap import Unfit
from derpman.acl.hujson import MAX_BYTES, MAX_DEPTH, Edits, Kind, Text, Value, place, read, shown
from tests.acl.samples import codes


def root(source: str) -> Value:
    value = read(source).root
    assert value is not None
    return value


def object_of(text: Text) -> Value:
    assert text.root is not None
    assert text.root.kind is Kind.OBJECT
    return text.root


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{}", {}),
        ("[]", []),
        ('{"a": [1, -2.5e3, true, false, null,],}', {"a": [1, -2500.0, True, False, None]}),
        ('/* a */ { // b\n "c" /* d */ : /* e */ 1 /* f */ , // g\n } // h\n', {"c": 1}),
        ('{"a//b": "/* no comment */"}', {"a//b": "/* no comment */"}),
        (r'"\u00e9\n\"\\\/"', 'é\n"\\/'),
        ("/*/ // */1", 1),
        ("{}//", {}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ("1" * 5000, float("inf")),
    ],
)
def test_what_hujson_allows_is_read(source: str, value: object):
    assert root(source).plain() == value


@pytest.mark.parametrize(
    ("source", "line", "column", "reason"),
    [
        ("{", 1, 2, "end"),
        ('{"a"', 1, 5, "end"),
        ('{"a":', 1, 6, "end"),
        ('{"a":1', 1, 7, "end"),
        ("[1", 1, 3, "end"),
        ("{,}", 1, 2, "name"),
        ('{"a": 1,,}', 1, 9, "name"),
        ("{a: 1}", 1, 2, "name"),
        ("{'a': 1}", 1, 2, "name"),
        ("{1: 1}", 1, 2, "name"),
        ('{\n  "a" 1}', 2, 7, "colon"),
        ('{\n  "a": 1\n  "b": 2\n}', 3, 3, "comma"),
        ('{"a": }', 1, 7, "value"),
        ('{"a": 01}', 1, 7, "value"),
        ('{"a": +1}', 1, 7, "value"),
        ('{"a": .5}', 1, 7, "value"),
        ('{"a": nulll}', 1, 7, "value"),
        ('{"a": True}', 1, 7, "value"),
        ('{"a": 0x1}', 1, 7, "value"),
        ('{"a": "x\ny"}', 1, 7, "string"),
        ('{"a": "x\ty"}', 1, 7, "string"),
        (r'{"a": "\x41"}', 1, 7, "string"),
        ('{"a": "x', 1, 7, "string"),
        ("{} {}", 1, 4, "after_end"),
        ("{}\n\f", 2, 1, "after_end"),
        ("\ufeff{}", 1, 1, "value"),
        ("{} /* open", 1, 4, "comment"),
        ("{} // a\u2028b\n", 1, 4, "comment"),
        ("{} /", 1, 4, "after_end"),
        ("[" * (MAX_DEPTH + 1), 1, MAX_DEPTH + 1, "depth"),
    ],
)
def test_fault_is_told_with_its_place(source: str, line: int, column: int, reason: str):
    with pytest.raises(Unfit) as caught:
        read(source)
    (finding,) = caught.value.findings
    assert finding.code == "policy.syntax"
    found = tuple(finding.params[key] for key in ("line", "column", "reason"))
    assert found == (line, column, reason)


def test_too_much_and_what_is_no_text_are_refused():
    with pytest.raises(Unfit) as caught:
        read('"' + "é" * (MAX_BYTES // 2) + '"')
    assert codes(caught.value.findings) == ["policy.too_big"]
    with pytest.raises(Unfit) as caught:
        read('"\ud800"')
    assert codes(caught.value.findings) == ["policy.not_utf8"]


@pytest.mark.parametrize("source", ["", " \n", "// only a comment", "/* a */\n"])
def test_nothing_but_white_space_has_no_root(source: str):
    assert read(source).root is None


def test_depth_up_to_the_limit_is_read():
    assert root("[" * MAX_DEPTH + "]" * MAX_DEPTH).kind is Kind.ARRAY


def test_names_are_found_as_gos_decoder_finds_them():
    value = root(r'{"DERPMap": 1, "derpm\u0061p": 2}')
    assert len(value.named("derpMap")) == 2
    found = value.get("derpMap")
    assert found is not None
    assert found.scalar == 2


def test_place_counts_from_one():
    assert place("ab\ncd", 0) == {"line": 1, "column": 1}
    assert place("ab\ncd", 4) == {"line": 2, "column": 2}


def test_quotations_of_pasted_text_are_short_and_printable():
    assert shown("a\x00b\ud800") == "a\ufffdb\ufffd"
    assert len(shown("x" * 100)) == 60


def appended(source: str, members: dict[str, Any]) -> str:
    text = read(source)
    edits = Edits(text)
    edits.append(object_of(text), members)
    return edits.result()


def without(source: str, *names: str) -> str:
    text = read(source)
    owner = object_of(text)
    edits = Edits(text)
    edits.take_out(owner, [member for member in owner.members if member.key in names])
    return edits.result()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", '{\n\t"n": 1\n}'),
        ("{ }", '{\n\t"n": 1\n }'),
        ("{\n}", '{\n\t"n": 1\n}'),
        ('{"a": 1}', '{"a": 1,\n\t"n": 1\n}'),
        ('{"a": 1,}', '{"a": 1,\n\t"n": 1,\n}'),
        ('{\n  "a": 1\n}\n', '{\n  "a": 1,\n  "n": 1\n}\n'),
        ('{\n  "a": 1,\n}', '{\n  "a": 1,\n  "n": 1,\n}'),
        ('{\n  "a": 1 // x\n}', '{\n  "a": 1, // x\n  "n": 1\n}'),
        ('{\n  "a": 1, // x\n  // y\n}', '{\n  "a": 1, // x\n  // y\n  "n": 1,\n}'),
        ('{\n  "a": 1 /* x */}', '{\n  "a": 1, /* x */\n  "n": 1\n}'),
        ('{\r\n  "a": 1 // x\r\n}\r\n', '{\r\n  "a": 1, // x\r\n  "n": 1\r\n}\r\n'),
        ("{ // x\n}", '{ // x\n\t"n": 1\n}'),
        ('    {\n      "a": 1\n    }', '    {\n      "a": 1,\n      "n": 1\n    }'),
    ],
)
def test_member_is_added_in_the_style_of_the_text(before: str, after: str):
    assert appended(before, {"n": 1}) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{\n\t"n": 1\n}', "{\n}"),
        ('{\n  "a": 1,\n  "n": 1\n}', '{\n  "a": 1\n}'),
        ('{\n  "a": 1,\n  "n": 1,\n}', '{\n  "a": 1,\n}'),
        ('{\n  "n": 1,\n  "a": 1\n}', '{\n  "a": 1\n}'),
        ('{\n  "a": 1, // x\n  // y\n  "n": 1\n}', '{\n  "a": 1 // x\n  // y\n}'),
        ('{\n  // c\n  "n": 1, "a": 1}', '{\n  // c\n   "a": 1}'),
        ('{"n": 1, "a": 1}', '{ "a": 1}'),
        ('{"a": 1, "n": 1}', '{"a": 1 }'),
        ('{\n  "n": 1 // c\n  , "a": 1}', '{\n   // c\n   "a": 1}'),
        ('{\n  "n": 1, // c\n  "m": 2,\n}', "{\n   // c\n}"),
        ('{\r\n  "a": 1,\r\n  "n": 1\r\n}', '{\r\n  "a": 1\r\n}'),
    ],
)
def test_member_goes_with_its_comma_and_leaves_comments(before: str, after: str):
    assert without(before, "n", "m") == after


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
).filter(lambda value: "NaN" not in json.dumps(value) and "Infinity" not in json.dumps(value))


@given(json_values, st.sampled_from([None, 2, "\t"]))
def test_every_json_text_is_read_as_json_does(value: object, indent: int | str | None):
    text = json.dumps(value, indent=indent)
    assert root(text).plain() == json.loads(text)


@given(st.text(alphabet='{}[],:"/* \n\r\t\\u0019.eE+-truefalsn\u2028\x0b'))
def test_any_text_is_read_or_refused(source: str):
    try:
        text = read(source)
    except Unfit as fault:
        (finding,) = fault.findings
        place_of = finding.params
        assert 1 <= place_of["line"] <= source.count("\n") + 1
        return
    assert text.source == source
