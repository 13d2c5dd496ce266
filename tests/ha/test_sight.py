"""What follows for a server's state from what was seen of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from derpman.ha.sight import Sight, is_agreed
from derpman.servers.health import NO_CONTACT, RELAYS_UNREACHABLE
from derpman.servers.states import TRANSITIONS, ServerStatus

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GONE = {2: 2, 3: 4}


def seen(*looks: tuple[bool | None, bool | None]) -> Sight:
    sight = Sight()
    for number, (contact, outside) in enumerate(looks, start=1):
        sight.note(number, float(number), contact=contact, outside=outside)
    return sight


def verdict(sight: Sight, status: ServerStatus, **more: object) -> str | None:
    given: dict[str, object] = {"votes": {}, "others": 3, "settles_at": None, "today": NOON}
    return sight.verdict(status, float(sight.newest), **{**given, **more})  # type: ignore[arg-type]


def test_one_miss_is_nothing_and_two_are_a_doubt() -> None:
    assert verdict(seen((False, False)), ServerStatus.HEALTHY) is None
    assert verdict(seen((False, False), (True, True), (False, False)), ServerStatus.HEALTHY) is None
    assert verdict(seen(*[(False, False)] * 2), ServerStatus.HEALTHY) == "doubt"


def test_relays_that_nobody_reaches_are_a_doubt_though_the_node_answers() -> None:
    sight = seen(*[(True, False)] * 2)
    assert verdict(sight, ServerStatus.HEALTHY) == "doubt"
    assert sight.cause == RELAYS_UNREACHABLE
    assert seen(*[(False, False)] * 2).cause == NO_CONTACT


def test_nobody_is_dead_unless_the_others_agree() -> None:
    sight = seen(*[(False, False)] * 4)
    assert verdict(sight, ServerStatus.SUSPECT) is None
    assert verdict(sight, ServerStatus.SUSPECT, votes={2: 2, 3: 0}) is None
    assert verdict(sight, ServerStatus.SUSPECT, votes={2: 2, 3: 1}) is None
    assert verdict(sight, ServerStatus.SUSPECT, votes={2: 2}) is None
    assert verdict(sight, ServerStatus.SUSPECT, votes=GONE) == "condemn"


def test_a_server_whose_relays_the_panel_reaches_is_not_dead_whatever_others_say() -> None:
    assert verdict(seen(*[(False, True)] * 4), ServerStatus.SUSPECT, votes=GONE) is None


@pytest.mark.parametrize(
    ("votes", "others", "agreed"),
    [
        ({}, 0, False),
        ({}, 1, False),
        ({2: 2}, 1, True),
        ({2: 2}, 2, False),
        ({2: 2, 3: 2}, 9, True),
        ({2: 2, 3: 2, 4: 0}, 9, False),
    ],
)
def test_how_many_must_agree(votes: dict[int, int], others: int, agreed: bool) -> None:
    assert is_agreed(votes, others) is agreed


def test_without_agreement_it_is_unhealthy_after_a_while() -> None:
    assert verdict(seen(*[(False, False)] * 5), ServerStatus.SUSPECT) is None
    assert verdict(seen(*[(False, False)] * 12), ServerStatus.SUSPECT) == "lose"


def test_a_suspect_that_answers_again_is_trusted() -> None:
    sight = seen((False, False), (False, False), (True, True))
    assert verdict(sight, ServerStatus.SUSPECT) is None
    sight.note(4, 4.0, contact=True, outside=True)
    assert verdict(sight, ServerStatus.SUSPECT) == "trust"


@pytest.mark.parametrize("status", [ServerStatus.UNHEALTHY, ServerStatus.DEAD])
def test_what_comes_back_must_be_seen_four_times_and_then_stay(status: ServerStatus) -> None:
    assert verdict(seen(*[(True, True)] * 3), status) is None
    assert verdict(seen(*[(True, True)] * 4), status) == "return"
    good = seen((True, True))
    later = NOON + timedelta(seconds=5)
    assert verdict(good, ServerStatus.RECOVERING, settles_at=later) is None
    assert verdict(good, ServerStatus.RECOVERING, settles_at=NOON) == "recover"
    assert verdict(seen(*[(False, False)] * 2), ServerStatus.RECOVERING) == "lose"


def test_a_dead_server_that_others_reach_again_is_only_unhealthy_to_us() -> None:
    assert verdict(seen(*[(False, True)] * 3), ServerStatus.DEAD) is None
    assert verdict(seen(*[(False, True)] * 4), ServerStatus.DEAD) == "reappear"
    assert verdict(seen(*[(None, True)] * 9), ServerStatus.DEAD) is None, "the link is being made"


def test_a_look_that_ends_after_later_ones_does_not_count() -> None:
    sight = Sight()
    sight.note(2, 1.0, contact=True, outside=True)
    sight.note(1, 1.5, contact=False, outside=False)
    assert (sight.contact_misses, sight.outside_misses) == (0, 0)


def test_what_is_not_known_changes_nothing() -> None:
    sight = seen((None, None), (None, None), (None, None))
    assert verdict(sight, ServerStatus.HEALTHY) is None
    assert verdict(sight, ServerStatus.DEAD) is None


def test_every_verdict_is_a_word_of_the_table() -> None:
    looks = [(True, True), (True, False), (False, True), (False, False), (None, None)]
    statuses = (
        ServerStatus.HEALTHY,
        ServerStatus.SUSPECT,
        ServerStatus.UNHEALTHY,
        ServerStatus.DEAD,
        ServerStatus.RECOVERING,
    )
    for status in statuses:
        for look in looks:
            for times in (1, 2, 4, 20):
                for votes in ({}, GONE):
                    word = verdict(seen(*[look] * times), status, votes=votes)
                    assert word is None or (status, word) in TRANSITIONS
