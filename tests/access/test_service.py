"""Sessions: who a token stands for, for how long, and when that is noticed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from derpman.access import recovery, service
from derpman.access.doorkeeper import Doorkeeper
from derpman.access.errors import SessionNotFound, WrongLogin
from derpman.access.models import LoginSession
from derpman.kit.secrets import token_hash
from derpman.kit.work import Actor, Edge, UnitOfWork
from derpman.users import service as users
from derpman.users.errors import Suspended
from tests.conftest import MovableClock, Person

EdgeOf = Callable[[Actor], Edge]


def find(edge: Edge, person: Person) -> service.Identity | None:
    return edge.read(service.find, hashed_token=token_hash(person.token))


def open_sessions(work: UnitOfWork, user_id: int) -> int:
    open_ones = select(func.count(LoginSession.id)).where(
        LoginSession.user_id == user_id, LoginSession.ended_at.is_(None)
    )
    return work.session.scalar(open_ones) or 0


def test_a_token_stands_for_its_owner_until_the_session_ends(edge: Edge, carl: Person) -> None:
    found = find(edge, carl)
    assert found is not None
    assert (found.user_id, found.username, found.role) == (carl.id, "carl", carl.role)
    assert edge(service.end_sessions, user_id=carl.id, reason="test") == 1
    assert find(edge, carl) is None
    assert edge(service.end_sessions, user_id=carl.id, reason="test") == 0


def test_a_token_is_stored_as_a_hash_only(edge: Edge, carl: Person) -> None:
    stored = edge.read(lambda work: work.session.scalars(select(LoginSession.token_hash)).all())
    assert stored == [token_hash(carl.token)]


def test_a_session_that_is_used_lasts_and_one_that_is_not_ends(
    edge: Edge, carl: Person, clock: MovableClock
) -> None:
    doorkeeper = Doorkeeper(edge, session_days=30)
    doorkeeper.cache_seconds = 0
    for _ in range(3):
        clock.advance(days=29)
        assert doorkeeper.identity_of(carl.token) is not None
    clock.advance(days=30)
    assert doorkeeper.identity_of(carl.token) is None


def test_use_is_written_down_every_five_minutes(
    edge: Edge, carl: Person, clock: MovableClock, statements: list[str]
) -> None:
    doorkeeper = Doorkeeper(edge, session_days=30)
    doorkeeper.cache_seconds = 0
    clock.advance(minutes=4)
    statements.clear()
    doorkeeper.identity_of(carl.token)
    assert len(statements) == 1
    clock.advance(minutes=1)
    doorkeeper.identity_of(carl.token)
    found = find(edge, carl)
    assert found is not None
    assert found.last_seen_at == clock.now


def test_a_hot_token_is_remembered_and_an_ended_session_noticed_within_a_second(
    edge: Edge, carl: Person, statements: list[str]
) -> None:
    seconds = 100.0
    doorkeeper = Doorkeeper(edge, session_days=30, monotonic=lambda: seconds)
    assert doorkeeper.identity_of(carl.token) is not None
    edge(service.end_sessions, user_id=carl.id, reason="test")
    statements.clear()
    seconds += 0.5
    assert doorkeeper.identity_of(carl.token) is not None
    assert statements == []
    seconds += 0.45
    assert doorkeeper.identity_of(carl.token) is None
    assert len(statements) == 1


def test_a_wake_up_makes_an_ended_session_noticed_at_once(edge: Edge, carl: Person) -> None:
    doorkeeper = Doorkeeper(edge, session_days=30, monotonic=lambda: 0.0)
    heard = replace(edge, wake=lambda topics: [doorkeeper.heard(topic) for topic in topics])  # type: ignore[arg-type,return-value]
    assert doorkeeper.identity_of(carl.token) is not None
    heard(service.end_sessions, user_id=carl.id, reason="test")
    assert doorkeeper.identity_of(carl.token) is None


def test_what_was_read_before_a_wake_up_is_not_remembered(edge: Edge, carl: Person) -> None:
    doorkeeper = Doorkeeper(edge, session_days=30, monotonic=lambda: 0.0)
    real = edge.read

    class Slow:
        clock = edge.clock

        def read(self, *args: object, **kwargs: object) -> object:
            identity = real(*args, **kwargs)  # type: ignore[arg-type]
            edge(service.end_sessions, user_id=carl.id, reason="test")
            doorkeeper.heard("sessions")
            return identity

    doorkeeper._run = Slow()  # type: ignore[assignment]
    assert doorkeeper.identity_of(carl.token) is not None  # it was asked before
    doorkeeper._run = edge
    assert doorkeeper.identity_of(carl.token) is None


def test_a_suspended_user_is_nobody(edge: Edge, carl: Person) -> None:
    edge(users.suspend, user_id=carl.id, reason="unpaid")
    assert find(edge, carl) is None
    with pytest.raises(Suspended):
        edge(service.open_session, user_id=carl.id)


def test_one_ends_his_own_sessions_and_no_other(edge_of: EdgeOf, carl: Person, eve: Person) -> None:
    run = edge_of(carl.actor)
    (session,) = run.read(service.sessions)
    with pytest.raises(SessionNotFound):
        edge_of(eve.actor)(service.end_session, session_id=session.id)
    run(service.end_session, session_id=session.id)
    assert run.read(service.sessions) == []
    with pytest.raises(SessionNotFound):
        run(service.end_session, session_id=session.id)


def test_a_login_with_a_password_that_was_just_changed_fails(edge: Edge, carl: Person) -> None:
    with pytest.raises(WrongLogin):
        edge(service.open_session, user_id=carl.id, verified="the hash of before")


def test_no_session_survives_a_suspension_that_comes_at_the_same_time(
    edge: Edge, carl: Person
) -> None:
    def suspend(work: UnitOfWork) -> None:
        users.suspend(work, user_id=carl.id, reason="race")
        service.end_sessions(work, user_id=carl.id, reason="race")

    def log_in(_: int) -> None:
        try:
            edge(service.open_session, user_id=carl.id)
        except Suspended:
            return

    with ThreadPoolExecutor(8) as threads:
        tries = [threads.submit(log_in, number) for number in range(6)]
        threads.submit(suspend_with, edge, suspend).result()
        for future in tries:
            future.result()
    assert edge.read(open_sessions, carl.id) == 0


def suspend_with(edge: Edge, verb: Callable[[UnitOfWork], None]) -> None:
    edge(verb)


def test_what_is_long_over_is_forgotten(
    edge: Edge, carl: Person, eve: Person, clock: MovableClock
) -> None:
    edge(recovery.send_reset, user_id=carl.id)
    clock.advance(days=59)
    assert edge(service.forget_old) == 0
    assert edge(recovery.forget_old) == 1
    clock.advance(days=2)
    assert edge(service.forget_old, limit=1) == 1
    assert edge(service.forget_old) == 1
    assert edge(service.forget_old) == 0
    assert edge(recovery.forget_old) == 0
