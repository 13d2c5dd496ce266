"""What changed in a policy, to be shown before it is applied."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import unified_diff
from itertools import zip_longest

_CONTEXT = 3  # lines around a difference, as `diff -u` shows them
MATCHED_LINES = 2000


def unified(old: str, new: str, *, matched_lines: int = MATCHED_LINES) -> str:
    """Return the unified difference of two texts, to be shown; empty when they are equal.

    Where more than `matched_lines` lie between the first change and the last, they are told as one
    block: to find the smallest difference takes time that grows with the square of a paste.
    """
    before, after = old.splitlines(), new.splitlines()
    if before == after:
        return ""
    start, end = _common(before, after), _common(reversed(before), reversed(after))
    end = min(end, min(len(before), len(after)) - start)
    kept = max(start - _CONTEXT, 0), max(end - _CONTEXT, 0)
    before, after = (lines[kept[0] : len(lines) - kept[1]] for lines in (before, after))
    if max(len(before), len(after)) > matched_lines:
        lines = _block(before, after, start - kept[0], end - kept[1])
    else:
        lines = list(unified_diff(before, after, lineterm=""))[2:]
    shifted = (_shift(line, kept[0]) if line.startswith("@@") else line for line in lines)
    return "\n".join(["--- before", "+++ after", *shifted])


def _common(one: Iterable[str], other: Iterable[str]) -> int:
    pairs = enumerate(zip_longest(one, other))
    return next(number for number, (left, right) in pairs if left != right)


def _block(before: list[str], after: list[str], start: int, end: int) -> list[str]:
    """Return one hunk that replaces all but `start` lines at the beginning, `end` at the end."""
    return [
        f"@@ -{min(1, len(before))},{len(before)} +{min(1, len(after))},{len(after)} @@",
        *(f" {line}" for line in before[:start]),
        *(f"-{line}" for line in before[start : len(before) - end]),
        *(f"+{line}" for line in after[start : len(after) - end]),
        *(f" {line}" for line in before[len(before) - end :]),
    ]


def _shift(header: str, by: int) -> str:
    return re.sub(r"(?<=[-+])[0-9]+", lambda number: str(int(number[0]) + by), header)
