"""Customers come from a CSV file, each row once, and what is wrong with a row is said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient
from typer.testing import CliRunner

from derpman import cli_user
from derpman.kit.errors import DomainError
from derpman.kit.work import Edge, UnitOfWork
from derpman.rentals import importing
from derpman.rentals.importing import Imported, ImportRefused, Looked, Row
from derpman.rentals.models import Rental
from derpman.users.models import User
from derpman.wiring import System
from tests.conftest import MovableClock, QueuedMail

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
UNTIL = datetime(2026, 4, 1, 16, 0, tzinfo=UTC)  # the end of Beijing's April 1
ZOE = Row(2, "zoe", "zoe@example.com", "en", UNTIL, 30)


@pytest.fixture(autouse=True)
def march(clock: MovableClock) -> None:
    clock.now = NOW


def file_of(folder: Path, text: str) -> Path:
    path = folder / "customers.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def count(edge: Edge, table: type[User] | type[Rental]) -> int:
    def read(work: UnitOfWork) -> int:
        return work.session.scalar(select(func.count()).select_from(table)) or 0

    return edge.read(read)


def test_a_file_is_read_as_spreadsheets_write_it(tmp_path: Path) -> None:
    path = file_of(
        tmp_path,
        "email,username,until,language,plan_days\r\n"
        "zoe@example.com,zoe,2026-04-01,en,30\r\n"
        '"bo@example.com", bo ,,,\r\n',
    )
    assert list(importing.rows(path)) == [
        ZOE,
        Row(3, "bo", "bo@example.com", "zh-CN", None, 30),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("username\nzoe\n", "lacks email"),
        ("username,email,phone\nzoe,z@example.com,1\n", "unknown columns phone"),
        ("username,email,until\nzoe,z@example.com,1.4.2026\n", "row 2: until"),
        ("username,email,plan_days\nzoe,z@example.com,month\n", "row 2: plan_days"),
        ("", "lacks username, email"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ImportRefused) as refused:
        list(importing.rows(file_of(tmp_path, text)))
    assert why in refused.value.message


def test_a_row_becomes_a_served_customer_once(edge: Edge, add_server: Callable[..., int]) -> None:
    for _ in range(3):
        add_server()
    first = edge(importing.take, row=ZOE, invite=False)
    assert (first.is_new, first.is_served) == (True, True)
    user = edge.read(lambda work: work.session.get_one(User, first.user_id))
    assert (user.email, user.locale, user.rental_expiry) == ("zoe@example.com", "en", UNTIL)
    again = edge(importing.take, row=ZOE, invite=False)
    assert again == Imported(first.user_id, is_new=False, is_served=False)
    assert (count(edge, User), count(edge, Rental)) == (1, 1)


def test_looking_does_nothing(edge: Edge, add_server: Callable[..., int]) -> None:
    for _ in range(3):
        add_server()
    with pytest.raises(Looked) as looked:
        edge(importing.look, row=ZOE)
    assert (looked.value.done.is_new, looked.value.done.is_served) == (True, True)
    assert (count(edge, User), count(edge, Rental)) == (0, 0)


def test_a_row_that_cannot_be_served_leaves_nothing(edge: Edge) -> None:
    with pytest.raises(DomainError):  # there are no servers
        edge(importing.take, row=ZOE, invite=True)
    assert count(edge, User) == 0
    with pytest.raises(ImportRefused):
        edge(importing.take, row=ZOE._replace(until=NOW), invite=False)
    assert count(edge, User) == 0


def test_who_is_invited_sets_his_password_and_who_is_not_cannot_log_in(
    edge: Edge,
    client: TestClient,
    follow: Callable[..., None],
    mails: Callable[[str], list[QueuedMail]],
) -> None:
    edge(importing.take, row=ZOE._replace(until=None), invite=True)
    edge(
        importing.take,
        row=Row(3, "bob", "bob@example.com", "en", None, 30),
        invite=False,
    )
    follow("access.")
    assert len(mails("zoe@example.com")) == 1
    assert mails("bob@example.com") == []
    for password in ("!", ""):
        body = {"email": "bob@example.com", "password": password}
        assert client.post("/api/user/login", json=body).status_code in (401, 422)


def test_the_command_goes_on_after_a_bad_row(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("derpman.wiring.assemble", lambda _settings: system)
    monkeypatch.setattr("derpman.kit.journal.configure", lambda **_: None)
    path = file_of(
        tmp_path,
        "username,email\nzoe,zoe@example.com\nx,bad@example.com\nyves,yves@example.com\n",
    )
    dry = CliRunner().invoke(cli_user.app, ["import", str(path), "--dry-run"])
    assert "Would be: 2 new, 1 refused" in dry.stdout
    assert count(system.edge(), User) == 0
    done = CliRunner().invoke(cli_user.app, ["import", str(path)])
    assert done.exit_code == 1
    assert "row 3 (bad@example.com)" in done.stdout
    assert "2 new, 1 refused" in done.stdout
    again = CliRunner().invoke(cli_user.app, ["import", str(path)])
    assert "2 there already" in again.stdout
    assert count(system.edge(), User) == 2
