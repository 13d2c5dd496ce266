from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from derpman.containers.choice import choose
from derpman.servers.service import Candidate


def server(id_: int, region: str = "r", count: int = 0, capacity: int = 10) -> Candidate:
    return Candidate(id_, region, count, capacity, f"203.0.113.{id_}", 20000, 20999)


def ids(chosen: list[Candidate]) -> list[int]:
    return [one.id for one in chosen]


def test_different_regions_come_before_less_load():
    servers = [server(1, "a"), server(2, "a"), server(3, "b", count=8), server(4, "c", count=9)]
    assert ids(choose(servers, 3)) == [1, 3, 4]


def test_load_is_measured_against_capacity():
    small, large = server(1, "a", count=5, capacity=10), server(2, "b", count=20, capacity=100)
    assert ids(choose([small, large], 1)) == [2]


def test_same_region_is_taken_when_there_is_no_other():
    assert ids(choose([server(1), server(2), server(3)], 3)) == [1, 2, 3]


def test_preferred_come_first_in_their_order_and_the_rest_fills_up():
    servers = [server(1, "a"), server(2, "b"), server(3, "b", count=9), server(4, "c")]
    assert ids(choose(servers, 3, prefer=[3, 3, 99])) == [3, 1, 4]


def test_regions_in_use_count():
    assert ids(choose([server(1, "a"), server(2, "b", count=9)], 1, regions=["a"])) == [2]


candidates = st.lists(
    st.builds(
        server,
        st.integers(1, 30),
        st.sampled_from("abcd"),
        st.integers(0, 9),
        st.just(10),
    ),
    unique_by=lambda one: one.id,
)


@given(candidates, st.integers(0, 4), st.lists(st.integers(1, 40), max_size=4))
def test_choice_is_full_without_repetition_and_spread(
    servers: list[Candidate], count: int, prefer: list[int]
):
    chosen = choose(servers, count, prefer=prefer)
    assert len(chosen) == min(count, len(servers))
    assert len(set(ids(chosen))) == len(chosen)
    assert set(ids(chosen)) <= set(ids(servers))
    wished = [id_ for id_ in dict.fromkeys(prefer) if id_ in ids(servers)]
    assert ids(chosen)[: len(wished)] == wished[:count]
    if not wished:
        regions = {one.region for one in chosen}
        assert len(regions) == min(count, len({one.region for one in servers}))
