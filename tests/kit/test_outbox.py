"""Deliveries: taken by one dispatcher, sent again when overdue, done once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from celery import Celery
from sqlalchemy import select

from derpman.kit import dispatch, outbox
from derpman.kit.dispatch import Dispatcher
from derpman.kit.errors import Conflict, Unavailable
from derpman.kit.outbox import Delivery, DeliveryStatus, Event
from derpman.kit.tasks import Task
from derpman.kit.work import Edge, UnitOfWork
from tests.conftest import HeardWake, MovableClock


@dataclass(frozen=True)
class Rang(Event):
    name: ClassVar[str] = "bell.rang"
    bell_id: int


def ring(work: UnitOfWork, times: int = 1) -> None:
    for number in range(times):
        work.emit(Rang(bell_id=number))


@pytest.fixture
def ringing(edge: Edge) -> Edge:
    return replace(edge, handlers={Rang.name: ["bells.answer"]})


def take(work: UnitOfWork, limit: int = 100) -> list[tuple[int, str]]:
    return outbox.take_due(work.session, work.now, limit)


def rows(edge: Edge) -> list[Delivery]:
    return edge.read(lambda work: list(work.session.scalars(select(Delivery))))


def test_a_delivery_is_taken_once_until_it_is_overdue(ringing: Edge, clock: MovableClock) -> None:
    ringing(ring)
    assert len(ringing(take)) == 1
    assert ringing(take) == []
    clock.advance(seconds=61)
    assert len(ringing(take)) == 1
    clock.advance(seconds=61)
    assert ringing(take) == [], "the pause grows"
    clock.advance(seconds=61)
    assert len(ringing(take)) == 1


def test_two_dispatchers_never_take_the_same_row(ringing: Edge) -> None:
    ringing(ring, times=60)
    taken: list[tuple[int, str]] = []

    def dispatch() -> None:
        while some := ringing(take, 5):
            taken.extend(some)

    threads = [threading.Thread(target=dispatch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(taken) == len(set(taken)) == 60


def test_a_broker_that_is_down_loses_nothing(
    ringing: Edge, heard: HeardWake, clock: MovableClock
) -> None:
    ringing(ring)

    def down(_task: str, _delivery_id: int) -> None:
        raise ConnectionError

    sent: list[int] = []
    assert Dispatcher(ringing, heard, down).dispatch_due() == 1
    clock.advance(minutes=2)
    Dispatcher(ringing, heard, lambda _task, delivery_id: sent.append(delivery_id)).dispatch_due()
    assert len(sent) == 1


def test_a_wake_up_is_heard_at_once(ringing: Edge) -> None:
    """The dispatcher does not wait for its poll."""
    listeners: list[object] = []

    class DirectWake:
        def send(self, topics: object) -> None:
            for listener in listeners:
                for topic in topics:  # type: ignore[attr-defined]
                    listener(topic)  # type: ignore[operator]

        def listen(self, heard: object) -> object:
            listeners.append(heard)
            return lambda: listeners.remove(heard)

    wake = DirectWake()
    sent = threading.Event()
    edge = replace(ringing, wake=wake.send)
    dispatcher = Dispatcher(edge, wake, lambda _task, _id: sent.set())  # type: ignore[arg-type]
    poll, dispatch.POLL_SECONDS = dispatch.POLL_SECONDS, 3600.0
    thread = threading.Thread(target=dispatcher.run_forever)
    try:
        thread.start()
        edge(ring)
        assert sent.wait(10)
    finally:
        dispatch.POLL_SECONDS = poll
        dispatcher.stop()
        thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def task(ringing: Edge) -> Task:
    app = Celery("test", set_as_current=False)
    app.conf.derpman_edge = ringing

    def answer(_self: Task) -> None: ...

    task: Task = app.task(base=Task, name="bells.answer", bind=True, shared=False)(answer)
    return task


def test_a_message_that_comes_twice_is_handled_once(ringing: Edge, task: Task) -> None:
    ringing(ring)
    (delivery_id, _), *_ = ringing(take)
    answered: list[int] = []

    def answer(_work: UnitOfWork, bell_id: int) -> None:
        answered.append(bell_id)

    task.deliver(delivery_id, answer)
    task.deliver(delivery_id, answer)
    assert answered == [0]
    assert rows(ringing)[0].status is DeliveryStatus.DONE


def test_a_handler_that_fails_is_done_only_when_it_succeeds(
    ringing: Edge, task: Task, clock: MovableClock
) -> None:
    ringing(ring)
    (delivery_id, _), *_ = ringing(take)

    def fail(_work: UnitOfWork, bell_id: int) -> None:
        raise OSError(f"bell {bell_id} is broken")

    with pytest.raises(OSError, match="broken"):
        task.deliver(delivery_id, fail)
    delivery = rows(ringing)[0]
    assert delivery.status is DeliveryStatus.PENDING
    assert delivery.failures == 1
    assert delivery.error == "OSError: bell 0 is broken"
    clock.advance(minutes=2)
    assert ringing(take) == [(delivery_id, "bells.answer")]
    task.deliver(delivery_id, lambda _work, bell_id: None)
    assert rows(ringing)[0].status is DeliveryStatus.DONE


def test_a_rule_that_says_no_ends_the_delivery(
    ringing: Edge, task: Task, clock: MovableClock
) -> None:
    ringing(ring)
    (delivery_id, _), *_ = ringing(take)

    def refuse(_work: UnitOfWork, bell_id: int) -> None:
        raise Conflict

    task.deliver(delivery_id, refuse)
    clock.advance(days=1)
    assert ringing(take) == []
    assert rows(ringing)[0].status is DeliveryStatus.DEAD


def test_what_a_killed_process_had_is_sent_again_when_its_successor_begins(
    ringing: Edge, clock: MovableClock
) -> None:
    ringing(ring)
    for kills in range(outbox.MAY_BE_THE_KILLER - 1):
        assert len(ringing(take)) == 1, f"after {kills} kills it is taken at once"
        ringing(dispatch.resume)
        clock.advance(seconds=1)
    assert rows(ringing)[0].failures == 0, "a kill is no failure"
    assert len(ringing(take)) == 1
    ringing(dispatch.resume)
    assert ringing(take) == [], "by now it may be what kills"
    clock.advance(minutes=11)
    assert len(ringing(take)) == 1, "and still it is not given up"


def test_what_failed_waits_its_time_when_a_process_begins(
    ringing: Edge, task: Task, clock: MovableClock
) -> None:
    ringing(ring)
    (delivery_id, _), *_ = ringing(take)

    def fail(_work: UnitOfWork, bell_id: int) -> None:
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        task.deliver(delivery_id, fail)
    ringing(dispatch.resume)
    assert ringing(take) == []
    clock.advance(seconds=61)
    assert len(ringing(take)) == 1


def test_who_is_only_busy_is_asked_again(ringing: Edge, task: Task, clock: MovableClock) -> None:
    ringing(ring)
    (delivery_id, _), *_ = ringing(take)

    def give_up(_work: UnitOfWork, bell_id: int) -> None:
        raise Unavailable

    with pytest.raises(Unavailable):
        task.deliver(delivery_id, give_up)
    assert rows(ringing)[0].status is DeliveryStatus.PENDING
    clock.advance(minutes=2)
    assert ringing(take) == [(delivery_id, "bells.answer")]


def test_a_dispatcher_that_begins_sends_what_the_one_before_it_had(
    ringing: Edge, heard: HeardWake
) -> None:
    ringing(ring)
    ringing(take)  # and then it was killed
    sent = threading.Event()
    dispatcher = Dispatcher(ringing, heard, lambda _task, _id: sent.set())
    thread = threading.Thread(target=dispatcher.run_forever)
    thread.start()
    try:
        assert sent.wait(10)
    finally:
        dispatcher.stop()
        thread.join(10)


def test_done_deliveries_are_forgotten_and_others_kept(
    ringing: Edge, task: Task, clock: MovableClock
) -> None:
    ringing(ring, times=2)
    (first, _), _ = ringing(take)
    task.deliver(first, lambda _work, bell_id: None)
    clock.advance(days=8)
    assert ringing(lambda work: outbox.purge_done(work.session, work.now)) == 1
    assert len(rows(ringing)) == 1
