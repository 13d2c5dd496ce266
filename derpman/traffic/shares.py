"""How what a rental has left is shared out among its relays. See docs/decisions/0007.

A node stops or throttles a relay by itself when the relay has sent its share; the shares together
are never more than what is left, so the rental's quota holds while the panel is away. The relay
that sends most gets most, and everything is shared out anew when a relay has used half its share,
so that none runs out of its own while others have some, as long as the panel is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

IDLE_PERCENT = 10
"""So much of what is left is spread evenly: a device may use another relay any moment."""
FAINT = 100
"""Use of less than this fraction of what is left hardly counts."""
SAMPLE_SECONDS = 1.0
"""How often a node reads a relay's counters while bytes flow."""
CRUMB_BYTES = 1 << 20
"""Less than this is not worth sharing out."""


@dataclass(frozen=True)
class Part:
    """One relay when shares are made."""

    id: int
    sent_bytes: int
    """The node's sum."""
    used_bytes: int
    """Sent since shares were made last."""
    kept_bytes: int | None = None
    """Its node is out of touch and still has so much of its old share: that stays as it is."""


def share(left_bytes: int, parts: Sequence[Part], bytes_per_second: float) -> dict[int, int]:
    """Return the share of each relay.

    A relay whose node is out of touch never gets less than it has, since its node would not hear
    of it. `bytes_per_second` is how fast the rental is sending. When what is left would not last
    for one sample, each relay gets all of it: the one in use is not stopped early, and two others
    can add no more than what two samples carry.
    """
    kept = {part.id: part.kept_bytes or 0 for part in parts if part.kept_bytes is not None}
    left = max(0, left_bytes - sum(kept.values()))
    if left <= max(CRUMB_BYTES, int(bytes_per_second * SAMPLE_SECONDS)):
        return {part.id: max(left, kept.get(part.id, 0)) for part in parts}
    wished = _by_use(left_bytes, parts)
    away = {id_: max(has, wished[id_]) for id_, has in kept.items()}
    near = [part for part in parts if part.id not in away]
    return away | _by_use(max(0, left_bytes - sum(away.values())), near)


def _by_use(left: int, parts: Sequence[Part]) -> dict[int, int]:
    if not parts:
        return {}
    even = left * IDLE_PERCENT // 100 // len(parts)
    by_use = left - even * len(parts)
    # Keep-alives are no use to speak of: a little is added to everybody's.
    used = {part.id: part.used_bytes + left // FAINT + 1 for part in parts}
    whole = sum(used.values())
    return {id_: even + by_use * one // whole for id_, one in used.items()}


def levels_passed(used_bytes: int, limit_bytes: int, levels: Sequence[int]) -> int:
    """Return the highest of `levels` (percent) that is reached, or 0."""
    return max((level for level in levels if used_bytes * 100 >= limit_bytes * level), default=0)


def next_level_bytes(level: int, limit_bytes: int, levels: Sequence[int]) -> int:
    """Return what is used when the level after `level` is reached; far away when there is none."""
    above = [one for one in levels if one > level]
    return -(-limit_bytes * above[0] // 100) if above else 1 << 62
