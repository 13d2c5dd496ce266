"""Counts: once each, whatever comes twice, late, or from a node that may not speak."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from derpman.alerts.models import SystemAlert
from derpman.kit.work import Edge, UnitOfWork
from derpman.traffic import cards, metering, rounds
from derpman.traffic.cards import CardReading
from derpman.traffic.models import Quarantine, RelayStart, ServerMeter
from tests.traffic.conftest import LINE, MB, Customer


def rows(edge: Edge, model: Any) -> list[Any]:
    def read(work: UnitOfWork) -> list[Any]:
        return list(work.session.scalars(select(model)))

    return edge.read(read)


def test_sum_is_of_all_relays_and_repeats_change_nothing(carls: Customer) -> None:
    one, two, _ = carls.relays
    carls.send(one, 30 * MB)
    carls.send(two, 12 * MB)
    carls.tell(one, two, one)
    assert carls.total() == 42 * MB
    assert carls.period().used_bytes == 42 * MB


def test_older_reading_changes_nothing(carls: Customer) -> None:
    relay = carls.relays[0]
    carls.send(relay, 30 * MB)
    stale = carls.reading(relay, sent_bytes=10 * MB)
    carls.edge(rounds.record, readings=[stale], book={}, line_bytes_per_second=LINE)
    assert carls.total() == 30 * MB


def test_stalled_worker_adds_nothing(carls: Customer) -> None:
    relay = carls.relays[0]
    carls.send(relay, 10 * MB)
    book = carls.edge.read(metering.known, [relay])
    late = carls.reading(relay, sent_bytes=25 * MB)
    carls.send(relay, 15 * MB)
    carls.finish(relay)
    carls.edge(rounds.record, readings=[late], book=book, line_bytes_per_second=LINE)
    assert carls.total() == 25 * MB


def test_starts_add_up_less_probes(carls: Customer) -> None:
    relay = carls.relays[0]
    carls.send(relay, 10 * MB)
    carls.sent[relay] += 5 * MB  # after the last round
    carls.finish(relay)
    carls.send(relay, 3 * MB)
    assert carls.total() == 18 * MB
    [start] = rows(carls.edge, RelayStart)
    assert (start.sent_bytes, start.is_gap) == (15 * MB, False)


def test_finished_start_told_twice_or_after_the_next_counts_once(carls: Customer) -> None:
    relay = carls.relays[0]
    carls.send(relay, 10 * MB)
    carls.starts[relay] = "second"
    carls.sent[relay] = 0
    carls.send(relay, 2 * MB)
    assert carls.total() == 12 * MB
    end = {
        "relay": relay,
        "start_id": "first",
        "started_at": carls.clock().isoformat(),
        "ended_at": carls.clock().isoformat(),
        "sent_bytes": 11 * MB,
        "probe_bytes": 0,
        "gap": True,
    }
    for _ in range(2):
        carls.edge(
            metering.finish,
            server_id=carls.server_of[relay],
            starts=[end],
            line_bytes_per_second=LINE,
        )
    carls.tell(relay)
    assert carls.total() == 13 * MB
    [start] = rows(carls.edge, RelayStart)
    assert (start.sent_bytes, start.is_gap) == (11 * MB, True)


def test_start_that_was_never_seen_running_counts_in_its_nodes_sum(carls: Customer) -> None:
    """Else the relay's next share would end below what its node has counted already."""
    relay = carls.relays[0]
    carls.send(relay, 10 * MB)
    carls.finish(relay)
    carls.sent[relay] = 7 * MB  # it began, sent and ended between two readings
    carls.finish(relay)
    [meter] = carls.meters()
    assert meter.node_bytes == meter.total_bytes == 17 * MB
    carls.send(relay, 1 * MB)
    assert carls.meters()[0].node_bytes == carls.total() == 18 * MB


def test_node_that_forgot_its_state_loses_nothing(carls: Customer) -> None:
    relay = carls.relays[0]
    carls.send(relay, 40 * MB)
    carls.starts[relay], carls.sent[relay] = "after reinstallation", 0
    carls.send(relay, 5 * MB)
    assert carls.total() == 45 * MB
    assert carls.meters()[0].node_bytes == 5 * MB


def test_node_speaks_for_its_own_relays_only(carls: Customer) -> None:
    one, two, _ = carls.relays
    lie = carls.reading(one, server_id=carls.server_of[two], sent_bytes=9 * MB)
    carls.edge(rounds.record, readings=[lie], book={}, line_bytes_per_second=LINE)
    assert carls.total() == 0


def test_count_that_no_line_carries_is_not_billed(carls: Customer) -> None:
    relay = carls.relays[0]
    carls.send(relay, 10 * MB)
    carls.send(relay, 200 * LINE, seconds=30)
    assert carls.total() == 10 * MB
    [quarantined] = rows(carls.edge, Quarantine)
    assert quarantined.sent_bytes == 200 * LINE
    assert [alert.alert_type for alert in rows(carls.edge, SystemAlert)] == ["traffic_impossible"]
    carls.send(relay, 4 * MB)
    assert carls.total() == 14 * MB


def test_hours_without_contact_are_no_impossible_count(carls: Customer) -> None:
    relay = carls.relays[0]
    carls.send(relay, MB)
    carls.send(relay, 3000 * LINE, seconds=3600)
    assert carls.total() == MB + 3000 * LINE


def test_cards_count_over_boots(edge: Edge, add_server: Any, clock: Any) -> None:
    server = add_server()
    for sent in (100, 150, 20, 60):
        clock.advance(seconds=5)
        edge(cards.record_cards, cards={server: CardReading(sent, clock())})
    late = CardReading(150, clock() - timedelta(seconds=12))
    edge(cards.record_cards, cards={server: late})
    [meter] = rows(edge, ServerMeter)
    assert meter.nic_bytes == 50 + 20 + 40


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.sampled_from(["send", "end", "gap", "again", "late", "unseen"]),
            st.integers(0, 5 * MB),
        ),
        max_size=25,
    )
)  # fmt: skip
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_total_is_what_was_sent_whatever_happens(carls: Customer, steps: Any) -> None:
    truth = carls.total()
    past: list[metering.Reading] = []
    for which, what, size in steps:
        relay = carls.relays[which]
        if what == "send":
            carls.send(relay, size)
            truth += size
        elif what == "unseen":  # it sent and ended between two readings
            carls.sent[relay] = carls.sent.get(relay, 0) + size
            past.append(carls.reading(relay))
            carls.finish(relay)
            truth += size
        elif what in ("end", "gap"):
            past.append(carls.reading(relay))
            carls.finish(relay, gap=what == "gap")
        elif what == "again":
            carls.tell(relay)
        elif past:
            late = past[size % len(past)]
            carls.edge(rounds.record, readings=[late], book={}, line_bytes_per_second=LINE)
        assert carls.total() == truth
        for meter in carls.meters():
            id_ = meter.placement_id
            assert meter.node_bytes == carls.before.get(id_, 0) + carls.sent.get(id_, 0)


def test_round_of_many_relays_asks_little(carls: Customer, statements: list[str]) -> None:
    for relay in carls.relays:
        carls.send(relay, MB)
    book = carls.edge.read(metering.known, carls.relays)
    readings = [carls.reading(relay, sent_bytes=2 * MB) for relay in carls.relays]
    statements.clear()
    carls.edge(rounds.record, readings=readings, book=book, line_bytes_per_second=LINE)
    assert len(statements) == 3  # the counts, what was used, whose level was passed
    statements.clear()
    carls.edge(rounds.record, readings=readings, book=book | carls.edge.read(
        metering.known, carls.relays), line_bytes_per_second=LINE)  # fmt: skip
    assert len(statements) <= 1  # nothing moved: nothing is written
