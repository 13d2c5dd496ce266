"""The edge: one transaction, run again where the database asks for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import pytest
from sqlalchemy import func, select, text

from derpman.kit.errors import Conflict, Unavailable
from derpman.kit.outbox import Delivery, Event
from derpman.kit.work import ATTEMPTS, Edge, UnitOfWork
from derpman.notifications.models import MailAllowance
from derpman.wiring import System
from tests.conftest import HeardWake, MovableClock


@dataclass(frozen=True)
class Rang(Event):
    name: ClassVar[str] = "bell.rang"
    bell_id: int


def ring(work: UnitOfWork, bell_id: int = 1) -> int:
    work.emit(Rang(bell_id=bell_id))
    return bell_id


@pytest.fixture
def ringing(edge: Edge) -> Edge:
    from dataclasses import replace

    return replace(edge, handlers={Rang.name: ["bells.answer", "bells.count"]})


def deliveries(work: UnitOfWork) -> list[tuple[str, str]]:
    rows = work.session.execute(select(Delivery.handler, Delivery.payload).order_by(Delivery.id))
    return [(row.handler, row.payload) for row in rows]


def test_event_becomes_one_delivery_per_handler_and_wakes(ringing: Edge, heard: HeardWake) -> None:
    assert ringing(ring, bell_id=7) == 7
    assert ringing.read(deliveries) == [
        ("bells.answer", '{"bell_id":7}'),
        ("bells.count", '{"bell_id":7}'),
    ]
    assert heard.topics == ["deliveries"]


def test_failed_verb_leaves_nothing_and_wakes_nobody(ringing: Edge, heard: HeardWake) -> None:
    def ring_and_fail(work: UnitOfWork) -> None:
        ring(work)
        work.session.flush()
        raise Conflict

    with pytest.raises(Conflict):
        ringing(ring_and_fail)
    assert ringing.read(deliveries) == []
    assert heard.topics == []


def put(work: UnitOfWork, address_key: str, recent: str) -> None:
    row = work.session.get(MailAllowance, address_key)
    if row is None:
        work.session.add(MailAllowance(address_key=address_key, recent=recent, updated_at=work.now))
    else:
        row.recent += recent


def test_two_first_writers_of_a_key_are_both_counted(edge: Edge) -> None:
    """Both see no row and insert: the loser runs again and finds the winner's."""
    both_looked = threading.Barrier(2, timeout=5)
    tried: list[str] = []

    def late_put(work: UnitOfWork, mark: str) -> None:
        work.session.get(MailAllowance, "k")
        tried.append(mark)
        if tried.count(mark) == 1 and work.session.get_bind().dialect.name != "sqlite":
            both_looked.wait()
        put(work, "k", mark)

    threads = [threading.Thread(target=edge, args=(late_put, mark)) for mark in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    row = edge.read(lambda work: work.session.get_one(MailAllowance, "k").recent)
    assert sorted(row) == ["a", "b"]


def test_stale_version_runs_the_verb_again(edge: Edge) -> None:
    edge(put, address_key="k", recent="a")
    runs = 0

    def overtaken(work: UnitOfWork) -> None:
        nonlocal runs
        runs += 1
        row = work.session.get_one(MailAllowance, "k")
        if runs == 1:  # somebody else is faster, in a transaction of his own would block on SQLite
            work.session.execute(text("UPDATE mail_allowances SET version = version + 1"))
        row.recent += "b"

    edge(overtaken)
    assert runs == 2
    assert edge.read(lambda work: work.session.get_one(MailAllowance, "k").recent) == "ab"


def test_endless_conflict_is_unavailable_and_not_a_bug(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("derpman.kit.work.FIRST_PAUSE_SECONDS", 0)
    edge(put, address_key="k", recent="a")
    runs = 0

    def always_broken(work: UnitOfWork) -> None:
        nonlocal runs
        runs += 1
        work.session.add(MailAllowance(address_key="k", recent="", updated_at=work.now))

    with pytest.raises(Unavailable):
        edge(always_broken)
    assert runs == ATTEMPTS


def test_many_writers_lose_nothing(edge: Edge) -> None:
    edge(put, address_key="k", recent="")
    threads = [
        threading.Thread(target=lambda: [edge(put, address_key="k", recent="x") for _ in range(10)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert edge.read(lambda work: work.session.get_one(MailAllowance, "k").recent) == "x" * 80


def test_reader_does_not_wait_for_a_writer(system: System, edge: Edge) -> None:
    writing, read = threading.Event(), threading.Event()

    def write_slowly(work: UnitOfWork) -> None:
        put(work, "k", "a")
        work.session.flush()
        writing.set()
        assert read.wait(10)

    writer = threading.Thread(target=edge, args=(write_slowly,))
    writer.start()
    assert writing.wait(10)
    count: Callable[[UnitOfWork], int | None] = lambda work: work.session.scalar(  # noqa: E731
        select(func.count()).select_from(MailAllowance)
    )
    assert edge.read(count) == 0
    read.set()
    writer.join(10)
    assert edge.read(count) == 1


def test_instants_come_back_aware_and_exact(edge: Edge, clock: MovableClock) -> None:
    clock.advance(microseconds=123_456)
    edge(put, address_key="k", recent="")
    assert edge.read(lambda work: work.session.get_one(MailAllowance, "k").updated_at) == clock.now


def test_naive_instant_is_refused(edge: Edge, clock: MovableClock) -> None:
    def naive(work: UnitOfWork) -> None:
        work.session.add(
            MailAllowance(address_key="k", recent="", updated_at=work.now.replace(tzinfo=None))
        )

    with pytest.raises(Exception, match="time zone"):
        edge(naive)


def test_text_is_compared_byte_by_byte(edge: Edge) -> None:
    for key in ("ab", "AB", "ab "):
        edge(put, address_key=key, recent=key)
    assert edge.read(lambda work: work.session.get_one(MailAllowance, "AB").recent) == "AB"
