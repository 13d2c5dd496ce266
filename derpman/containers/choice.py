"""Which servers a customer's relays go to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from derpman.servers.service import Candidate


def choose(
    candidates: Iterable[Candidate],
    count: int,
    *,
    prefer: Sequence[int] = (),
    regions: Iterable[str] = (),
) -> list[Candidate]:
    """Return up to `count` servers, best first.

    First those preferred, in their order; then other regions than those in use before the same,
    and of equal rank the server that is least loaded for its capacity, else the one given first.
    """
    by_id = {candidate.id: candidate for candidate in candidates}
    wished = list(dict.fromkeys(prefer))
    chosen = [by_id.pop(server_id) for server_id in wished if server_id in by_id][:count]
    used = {*regions, *(server.region for server in chosen)}
    rest = sorted(by_id.values(), key=lambda one: one.relay_count / one.capacity)
    while len(chosen) < count and rest:
        best = next((server for server in rest if server.region not in used), rest[0])
        rest.remove(best)
        used.add(best.region)
        chosen.append(best)
    return chosen
