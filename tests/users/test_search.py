"""Accounts by how a username or an address begins, page by page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import update

from derpman.kit.work import Edge, UnitOfWork
from derpman.users.models import User
from derpman.users.queries import users_page
from tests.conftest import Person


@pytest.fixture
def people(edge: Edge, person: Callable[..., Person]) -> dict[str, int]:
    """Five whose names begin with ann, one whose address does, one whose former address did."""
    names = ["annabel", "anna", "zoe", "ann_", "bert", "ann_x", "annxx", "other"]
    ids = {name: person(name).id for name in names}

    def write(work: UnitOfWork) -> None:
        def change(name: str, **values: str) -> None:
            work.session.execute(update(User).where(User.id == ids[name]).values(**values))

        change("bert", email="ann.b@example.com", email_key="ann.b@example.com")
        change("zoe", email="gone-1", email_key="gone-1", former_email_key="annz@example.com")

    edge(write)
    return ids


def found(edge: Edge, search: str, limit: int, sort: str | None = None) -> list[int]:
    """The ids of all pages, one after the other."""
    ids: list[int] = []
    before: int | None = None
    while True:
        rows, before = edge.read(
            users_page,
            search=search,
            role=None,
            status=None,
            sort=sort,
            before=before,
            limit=limit,
        )
        ids += [one.id for one in rows]
        if before is None:
            return ids


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20])
def test_names_come_first_then_addresses_each_once(
    edge: Edge, people: dict[str, int], limit: int
) -> None:
    def ids(*names: str) -> list[int]:
        return [people[name] for name in names]

    assert found(edge, "Ann", limit) == ids(
        "ann_", "ann_x", "anna", "annabel", "annxx", "bert", "zoe"
    )
    assert found(edge, "ann_", limit) == ids("ann_", "ann_x")  # no pattern of the database
    assert found(edge, "ann.", limit) == ids("bert")
    assert found(edge, "nobody", limit) == []
    assert found(edge, "ann_", limit, "-time") == ids("ann_x", "ann_")
    assert found(edge, "ann_", limit, "time") == ids("ann_", "ann_x")


def test_a_page_after_an_account_that_was_never_there_is_empty(
    edge: Edge, people: dict[str, int]
) -> None:
    rows, before = edge.read(
        users_page, search="ann", role=None, status=None, before=10**6, limit=5
    )
    assert (rows, before) == ([], None)
