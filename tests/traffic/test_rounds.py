"""What a worker hears of relays is written in bulk, and what presses does not wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from derpman.traffic.rounds import Rounds
from tests.traffic.conftest import LINE, MB, Customer

Make = Callable[..., Customer]


@pytest.fixture
def worker(customer: Make) -> tuple[Customer, Rounds]:
    carl = customer(900 * MB)
    return carl, Rounds(carl.edge, every_seconds=1000, line_bytes_per_second=LINE)


def snapshot(carl: Customer, relay: int, **changes: Any) -> dict[str, Any]:
    told = {
        "id": relay,
        "start_id": carl.starts.get(relay, "first"),
        "sent_bytes": carl.sent.get(relay, 0) + 8,
        "probe_bytes": 8,
        "total_sent_bytes": carl.sent.get(relay, 0) + carl.before.get(relay, 0),
        "reason": None,
        "throttled": False,
    } | changes
    return {
        "at": carl.clock().isoformat(),
        "whole": True,
        "relays": [told],
        "removed": [],
        "starts": [],
        "host": {"net_sent_bytes": 1000},
    }


def hear(carl: Customer, rounds: Rounds, relay: int, size: int = 0, **changes: Any) -> None:
    carl.clock.advance(seconds=5)
    carl.hear()
    carl.sent[relay] = carl.sent.get(relay, 0) + size
    told = snapshot(carl, relay, **changes)
    carl.edge(rounds.observe, server_id=carl.server_of[relay], snapshot=told)


def test_round_writes_the_newest_of_each_relay(worker: tuple[Customer, Rounds]) -> None:
    carl, rounds = worker
    for size in (3, 4, 5):
        hear(carl, rounds, carl.relays[0], size * MB)
    hear(carl, rounds, carl.relays[1], 2 * MB)
    assert carl.total() == 0
    assert rounds.write() == 2
    assert carl.total() == 14 * MB


def test_relay_that_sent_nothing_costs_nothing(
    worker: tuple[Customer, Rounds], statements: list[str]
) -> None:
    carl, rounds = worker
    hear(carl, rounds, carl.relays[0], MB)
    rounds.write()
    hear(carl, rounds, carl.relays[0])
    statements.clear()
    assert rounds.write() == 0
    assert not [one for one in statements if "relay_meters" in one and "INSERT" in one]


def test_ended_start_is_written_at_once(worker: tuple[Customer, Rounds]) -> None:
    carl, rounds = worker
    relay = carl.relays[0]
    carl.clock.advance(seconds=5)
    ended = {
        "relay": relay,
        "start_id": "first",
        "started_at": carl.clock().isoformat(),
        "ended_at": carl.clock().isoformat(),
        "sent_bytes": 9 * MB,
        "probe_bytes": 0,
        "gap": True,
    }
    told = snapshot(carl, relay, start_id=None, sent_bytes=0) | {"starts": [ended]}
    carl.edge(rounds.observe, server_id=carl.server_of[relay], snapshot=told)
    assert carl.total() == 9 * MB
    assert carl.period().used_bytes == 9 * MB


def test_half_a_share_presses(worker: tuple[Customer, Rounds]) -> None:
    carl, rounds = worker
    relay = carl.relays[0]
    hear(carl, rounds, relay, MB)
    rounds.write()
    before = carl.quotas()
    hear(carl, rounds, relay, 100 * MB)
    assert rounds.write_pressing() == 0
    assert carl.quotas() == before
    hear(carl, rounds, relay, 60 * MB)
    assert rounds.write_pressing() == 1
    first, second, third = carl.quotas()
    assert first is not None
    assert second == third
    assert first > 500 * MB


def test_relay_at_its_limit_presses_also_when_nothing_is_known_of_it(
    worker: tuple[Customer, Rounds],
) -> None:
    carl, rounds = worker
    relay = carl.relays[0]
    hear(carl, rounds, relay, 299 * MB)
    rounds.write()
    anew = Rounds(carl.edge, every_seconds=1000, line_bytes_per_second=LINE)
    hear(carl, anew, relay, start_id=None, sent_bytes=0, reason="quota")
    anew.write_pressing()
    limit = carl.quotas()[0]
    assert limit is not None
    assert limit > 450 * MB


def test_alarms_follow_what_others_changed(worker: tuple[Customer, Rounds]) -> None:
    from derpman.traffic import service

    carl, rounds = worker
    relay = carl.relays[0]
    hear(carl, rounds, relay, 899 * MB, throttled=False)
    hear(carl, rounds, relay, 2 * MB)
    rounds.write()
    assert carl.quotas() == [0, 0, 0]
    carl.edge(service.grant, user_id=carl.user_id, granted_bytes=900 * MB, reason="more")
    rounds.write()
    before = carl.quotas()[0]
    hear(carl, rounds, relay, 400 * MB)
    rounds.write_pressing()
    assert carl.quotas()[0] != before


def test_what_could_not_be_written_is_written_next(
    worker: tuple[Customer, Rounds], monkeypatch: pytest.MonkeyPatch
) -> None:
    from derpman.traffic import rounds as module

    carl, rounds = worker
    hear(carl, rounds, carl.relays[0], 5 * MB)

    def fail(*_: object, **__: object) -> None:
        raise OperationalError("", {}, Exception("gone"))

    with monkeypatch.context() as broken:
        broken.setattr(module.metering, "record", fail)
        with pytest.raises(OperationalError):
            rounds.write()
    hear(carl, rounds, carl.relays[1], MB)
    rounds.write()
    assert carl.total() == 6 * MB


def test_last_round_is_written_when_the_worker_ends(customer: Make) -> None:
    carl = customer()
    rounds = Rounds(carl.edge, every_seconds=1000, line_bytes_per_second=LINE)
    rounds.start()
    hear(carl, rounds, carl.relays[0], 5 * MB)
    rounds.stop()
    assert carl.total() == 5 * MB


def test_new_relay_does_not_wait_for_the_round(worker: tuple[Customer, Rounds]) -> None:
    carl, rounds = worker
    hear(carl, rounds, carl.relays[0], 50 * MB)
    assert rounds.write_pressing() == 1
    hear(carl, rounds, carl.relays[0], 200 * MB)  # more than half of a third of the quota
    rounds.write_pressing()
    limit = carl.quotas()[0]
    assert limit is not None
    assert limit > 600 * MB


def test_relay_stopped_by_its_node_goes_on_when_the_rental_has_more(
    worker: tuple[Customer, Rounds],
) -> None:
    carl, rounds = worker
    relay = carl.relays[0]
    hear(carl, rounds, relay, MB)
    rounds.write_pressing()
    carl.clock.advance(seconds=5)
    carl.hear()
    ended = {
        "relay": relay,
        "start_id": "first",
        "started_at": carl.clock().isoformat(),
        "ended_at": carl.clock().isoformat(),
        "sent_bytes": 305 * MB,
        "probe_bytes": 0,
        "gap": False,
    }
    stopped = {"start_id": None, "sent_bytes": 0, "reason": "quota"}
    told = snapshot(carl, relay, **stopped, total_sent_bytes=305 * MB) | {"starts": [ended]}
    carl.edge(rounds.observe, server_id=carl.server_of[relay], snapshot=told)
    limit = carl.quotas()[0]
    assert limit is not None
    assert limit > 600 * MB


def test_who_stands_still_is_looked_at_in_every_round(worker: tuple[Customer, Rounds]) -> None:
    from sqlalchemy import update

    from derpman.containers.models import Placement
    from derpman.kit.work import UnitOfWork

    carl, rounds = worker
    relay = carl.relays[0]
    hear(carl, rounds, relay, 10 * MB)
    rounds.write()
    hear(carl, rounds, relay, throttled=True)
    rounds.write_pressing()

    def overtake(work: UnitOfWork) -> None:
        work.session.execute(update(Placement).values(quota_bytes=1))

    carl.edge(overtake)
    hear(carl, rounds, relay, throttled=True)
    rounds.write()
    assert min(limit or 0 for limit in carl.quotas()) > 10 * MB
