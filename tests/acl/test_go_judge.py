"""Tailscale's own parser reads what we make and refuses what we refuse."""

from __future__ import annotations

import contextlib
import json
import random
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from derpman.acl.derpmap import Unfit, document
from derpman.acl.forms import headscale_json, headscale_yaml, merge, snippet
from derpman.acl.hujson import read
from tests.acl.samples import slot, three

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
SLOTS = (*three()[:2], slot(3, address="2001:db8::3"))
ENDS_AT = datetime(2026, 12, 26, tzinfo=UTC)
POLICY = """// top
{
	// who may talk to whom
	"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]},], /* all */
	"derpMap": {"OmitDefaultRegions": true,
		"Regions": {"950": {"RegionID": 950, "Nodes": []}, "1": null}},
	"n": -1.5e+10, "z": "\\u00e9\\n",
}
"""
DAMAGE = [
    *'{}[]:,"\n \t\r\f\v\\\x001-0.e/*',
    *["//", "/*", "*/", "null", "true", '"a"', '"a":1', "\\u", "\\ud800"],
    *["\ufeff", "\xa0", "\u2028", "\u2060"],
]

Judge = Callable[[list[tuple[str, str]]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    program = tmp_path_factory.mktemp("judge") / "judge"
    subprocess.run(
        [ROOT / "tools" / "go", "build", "-buildvcs=false", "-p", "1", "-o", program, "."],
        cwd=Path(__file__).parent / "derpmap_go",
        check=True,
    )

    def ask(questions: list[tuple[str, str]]) -> list[dict[str, Any]]:
        lines = "".join(json.dumps({"form": form, "text": text}) + "\n" for form, text in questions)
        done = subprocess.run([program], input=lines, capture_output=True, check=True, text=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return ask


def test_every_form_is_understood_as_it_was_meant(judge: Judge):
    wanted = {"Regions": document(SLOTS)["Regions"]}
    member = snippet(SLOTS, version="3", ends_at=ENDS_AT).body.decode()
    answers = judge([
        ("policy", "{" + member + "}"),
        ("policy", merge("", SLOTS).text),
        ("policy", merge('{"acls": []} // end', SLOTS).text),
        ("json", headscale_json(SLOTS).body.decode()),
        ("yaml", headscale_yaml(SLOTS, version="3", ends_at=ENDS_AT).body.decode()),
    ])  # fmt: skip
    assert answers == [{"map": wanted}] * 5


def test_omitting_the_default_regions_is_understood(judge: Judge):
    made = headscale_json(SLOTS, omit_default_regions=True).body.decode()
    (answer,) = judge([("json", made)])
    assert answer["map"]["omitDefaultRegions"] is True


def test_merged_policy_keeps_what_tailscale_understood_before(judge: Judge):
    before, after = judge([("policy", POLICY), ("policy", merge(POLICY, SLOTS).text)])
    regions = {**before["map"]["Regions"], **document(SLOTS)["Regions"]}
    assert after["map"] == {**before["map"], "Regions": regions}


def test_yaml_with_the_keys_of_json_is_silently_empty_so_we_never_make_it(judge: Judge):
    (answer,) = judge([("yaml", headscale_json(SLOTS).body.decode())])
    assert answer == {"map": {"Regions": None}}


def test_damaged_policies_are_refused_by_both_or_by_none(judge: Judge):
    """Ours names the line where a string or a name that is none begins; theirs may read on."""
    chance = random.Random(20261124)
    damaged = [_damaged(chance) for _ in range(20_000)]
    same = refused = 0
    for text, answer in zip(damaged, judge([("policy", t) for t in damaged]), strict=True):
        ours, theirs = _our_line(text), _line_of(answer.get("error", ""))
        assert (ours > 0) == (theirs > 0), (text, answer)
        assert ours <= theirs, (text, answer)
        refused += ours > 0
        same += ours == theirs > 0
    assert refused > 10_000
    assert same > 0.95 * refused


def test_whatever_layout_is_merged_into_tailscale_reads_the_result(judge: Judge):
    chance = random.Random(20261125)
    merged: list[str] = []
    for text in [_damaged(chance) for _ in range(6_000)]:
        with contextlib.suppress(Unfit):
            merged.append(merge(text, SLOTS).text)
    assert len(merged) > 1_000
    wanted = document(SLOTS)["Regions"]
    for text, answer in zip(merged, judge([("policy", t) for t in merged]), strict=True):
        assert "error" not in answer or "cannot unmarshal" in answer["error"], (text, answer)
        if "error" not in answer:
            assert wanted.items() <= answer["map"]["Regions"].items(), (text, answer)


def _damaged(chance: random.Random) -> str:
    text = POLICY
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        at = chance.randrange(len(text) + 1)
        cut = chance.choice([0, 0, 0, 1, 1, 2, 5])
        put = chance.choice(DAMAGE) if cut == 0 or chance.random() < 0.2 else ""
        text = text[:at] + put + text[at + cut :]
    return text


def _line_of(error: str) -> int:
    found = re.search(r"^hujson: line (\d+)", error)
    return int(found[1]) if found else 0


def _our_line(text: str) -> int:
    try:
        read(text)
    except Unfit as fault:
        return fault.findings[0].params["line"]
    return 0
