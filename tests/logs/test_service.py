"""What is written into the logs, and that it stays."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError

from derpman.kit.work import Actor, Edge, Role, UnitOfWork
from derpman.logs import service
from derpman.logs.errors import AppendOnly
from derpman.logs.models import ServerLog, SystemLog, UserHistory, UserLog

DORA = Actor(role=Role.ADMIN, user_id=7, name="dora", ip="198.51.100.7", user_agent="curl/8.5.0")


@pytest.fixture
def run(edge_of) -> Edge:
    return edge_of(DORA)


def only(edge: Edge, model):
    with edge.sessions.reading() as session:
        return session.scalars(select(model)).one()


def test_record_says_who_did_what(run: Edge, clock):
    run(
        service.record,
        action="serial.revoke",
        object_type="serial",
        object_id=3,
        before={"status": "unused"},
        after={"status": "revoked", "at": datetime(2026, 3, 1, tzinfo=UTC)},
    )
    row = only(run, SystemLog)
    assert (row.actor_id, row.actor_name, row.actor_role) == (7, "dora", "admin")
    assert (row.action, row.object_type, row.object_id) == ("serial.revoke", "serial", 3)
    assert (row.ip_address, row.created_at) == ("198.51.100.7", clock.now)
    assert row.before == '{"status":"unused"}'
    assert row.after == '{"at":"2026-03-01T00:00:00+00:00","status":"revoked"}'


def test_equal_facts_give_equal_text(run: Edge):
    for after in ({"b": 1, "a": "行"}, {"a": "行", "b": 1}):
        run(service.record, action="x", object_type="y", after=after)
    with run.sessions.reading() as session:
        assert set(session.scalars(select(SystemLog.after))) == {'{"a":"行","b":1}'}


@pytest.mark.parametrize(
    "name",
    ["password", "new_password", "token", "accessToken", "secret_key", "code", "mesh_key", "key"],
)
def test_what_is_named_like_a_secret_is_covered(run: Edge, name: str):
    run(service.record, action="x", object_type="y", after={"deep": [{name: "s3cr3t"}]})
    row = only(run, SystemLog)
    assert "s3cr3t" not in (row.after or "")
    assert "••••" in (row.after or "")


@pytest.mark.parametrize("name", ["node_key", "host_key", "country", "keyboard", "wrong_codes"])
def test_what_is_no_secret_is_kept(run: Edge, name: str):
    run(service.record, action="x", object_type="y", after={name: "plain"})
    assert "plain" in (only(run, SystemLog).after or "")


def test_record_user_keeps_place_and_browser(run: Edge):
    run(service.record_user, user_id=9, action="login", detail={"how": "password"})
    row = only(run, UserLog)
    assert (row.user_id, row.action, row.detail) == (9, "login", '{"how":"password"}')
    assert row.ip_address == "198.51.100.7"
    assert row.location
    assert "curl" in row.browser
    assert "Browser(" not in row.browser


def test_record_user_from_nowhere(edge: Edge):
    edge(service.record_user, user_id=9, action="suspended")
    assert only(edge, UserLog).browser is not None


def test_record_history_and_server(run: Edge):
    run(service.record_history, user_id=9, kind="rental.activated", rental_id=2)
    run(service.record_server, server_id=4, action="add", result="ok", detail={"step": "docker"})
    assert only(run, UserHistory).rental_id == 2
    assert only(run, ServerLog).actor_name == "dora"


def test_a_verb_that_fails_leaves_no_line(run: Edge):
    def fails(work: UnitOfWork) -> None:
        service.record(work, action="x", object_type="y")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(fails)
    with run.sessions.reading() as session:
        assert session.scalars(select(SystemLog)).all() == []


# -- nothing is changed ---------------------------------------------------------------------


@pytest.fixture
def written(run: Edge) -> None:
    run(service.record, action="x", object_type="y")
    run(service.record_user, user_id=9, action="login")
    run(service.record_history, user_id=9, kind="rental.activated")
    run(service.record_server, server_id=4, action="add", result="ok")


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("model", [SystemLog, UserLog, UserHistory, ServerLog])
def test_the_session_refuses_changes(run: Edge, model):
    def change(work: UnitOfWork) -> None:
        work.session.scalars(select(model)).one().created_at = datetime(2020, 1, 1, tzinfo=UTC)

    def remove(work: UnitOfWork) -> None:
        work.session.delete(work.session.scalars(select(model)).one())

    def change_all(work: UnitOfWork) -> None:
        work.session.execute(update(model).values(created_at=work.now))

    def remove_all(work: UnitOfWork) -> None:
        work.session.execute(delete(model))

    for verb in (change, remove, change_all, remove_all):
        with pytest.raises(AppendOnly):
            run(verb)
    only(run, model)


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize(
    "statement", ["UPDATE system_logs SET action = 'other'", "DELETE FROM system_logs"]
)
def test_the_database_refuses_changes_of_the_operation_log(run: Edge, statement: str):
    with run.sessions.writing() as session, pytest.raises(DBAPIError, match="never changed"):
        session.execute(text(statement))
    assert only(run, SystemLog).action == "x"
