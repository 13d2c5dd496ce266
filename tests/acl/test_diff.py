"""Differences: what `patch` makes of them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from derpman.acl.diff import unified
from derpman.acl.forms import merge
from tests.acl.samples import slot


def test_diff_shows_only_what_changed():
    old = "{\n" + "".join(f'  "k{n}": {n},\n' for n in range(50)) + "}\n"
    shown = unified(old, merge(old, [slot(1)]).text)
    assert shown.startswith("--- before\n+++ after\n@@")
    assert [line for line in shown.splitlines()[2:] if line.startswith("-")] == []
    assert unified(old, old) == ""


_lines = st.lists(st.sampled_from(["a", "b", "c", "//", "", "-", "@@ -1 +1 @@"]), max_size=30)


@given(_lines, _lines, st.booleans())
def test_diff_is_what_patch_expects(before: list[str], after: list[str], as_block: bool):
    old, new = "\n".join(before), "\n".join(after)
    text = unified(old, new, matched_lines=0 if as_block else 2000)
    assert applied(old.splitlines(), text) == new.splitlines()
    assert (text == "") == (old.splitlines() == new.splitlines())


def applied(before: list[str], text: str) -> list[str]:
    """Apply a unified difference as `patch` does, and check what it says of `before`."""
    after: list[str] = []
    at = 0
    lines = iter(text.splitlines()[2:])
    for header in lines:
        found = re.fullmatch(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", header)
        assert found, header
        start, removed, place, added = (1 if part is None else int(part) for part in found.groups())
        begin = start - 1 if removed else start
        after += before[at:begin]
        at = begin
        assert len(after) == (place - 1 if added else place)
        while removed or added:
            line = next(lines)
            if line[0] in " -":
                assert before[at] == line[1:]
                at, removed = at + 1, removed - 1
            if line[0] in " +":
                after.append(line[1:])
                added -= 1
    return after + before[at:]


def test_diff_shows_three_lines_around_and_where_they_stand():
    old = "".join(f"line {number}\n" for number in range(1, 101))
    new = old.replace("line 50\n", "line 50\nnew\n")
    assert unified(old, new) == (
        "--- before\n+++ after\n@@ -48,6 +48,7 @@\n line 48\n line 49\n line 50\n+new\n"
        " line 51\n line 52\n line 53"
    )
