"""Lists go on where a page ended, in every order, with alike and with missing values."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from starlette.testclient import TestClient

from derpman.kit.paging import page
from derpman.kit.work import Edge, UnitOfWork
from derpman.users.models import User
from derpman.users.queries import SORTS
from tests.conftest import Person

DAY = datetime(2026, 5, 1, tzinfo=UTC)
EXPIRIES = [3, None, 1, 2, 2, None, 2, 1]
"""Days, of the users in the order of their ids."""


@pytest.fixture
def people(edge: Edge, person: Callable[..., Person]) -> list[int]:
    ids = [person(f"user{number}").id for number in range(len(EXPIRIES))]

    def write(work: UnitOfWork) -> None:
        for user_id, days in zip(ids, EXPIRIES, strict=True):
            expiry = None if days is None else DAY + timedelta(days=days)
            work.session.execute(
                update(User).where(User.id == user_id).values(rental_expiry=expiry)
            )

    edge(write)
    return ids


def walk(edge: Edge, limit: int, sort: str | None) -> list[int]:
    """The ids of all pages, one after the other."""

    def read(work: UnitOfWork, before: int | None) -> tuple[list[int], int | None]:
        rows, following = page(work.session, select(User), User.id, before, limit, sort, SORTS)
        return [one.id for one in rows], following

    ids, before = edge.read(read, None)
    while before is not None:
        more, before = edge.read(read, before)
        ids += more
    return ids


@pytest.mark.parametrize("limit", [1, 2, 3, 8, 20])
def test_every_row_comes_once_in_its_place(edge: Edge, people: list[int], limit: int) -> None:
    def nth(*numbers: int) -> list[int]:
        return [people[number] for number in numbers]

    assert walk(edge, limit, None) == people[::-1]
    assert walk(edge, limit, "-time") == people[::-1]
    assert walk(edge, limit, "time") == people
    assert walk(edge, limit, "rental_expiry") == nth(2, 7, 3, 4, 6, 0, 5, 1)
    assert walk(edge, limit, "-rental_expiry") == nth(0, 6, 4, 3, 7, 2, 5, 1)


def test_lists_of_admins_are_sorted_on_the_server(
    client: TestClient, root: Person, people: list[int], add_server: Callable[..., int]
) -> None:
    def asked(path: str, name: str, sort: str, value: str) -> list[Any]:
        rows: list[Any] = []
        before: int | None = None
        while True:
            query = {"sort": sort, "limit": 2} | ({} if before is None else {"before": before})
            answer = client.get(path, params=query, headers=root.headers).json()
            rows += [one[value] for one in answer[name]]
            before = answer["next_before"]
            if before is None:
                return rows

    names = asked("/api/user/list", "users", "username", "username")
    assert names == sorted(names)
    assert len(names) == len(EXPIRIES) + 1
    assert asked("/api/user/list", "users", "-username", "username") == names[::-1]
    for load in (0.5, 0.9, 0.1, 0.5):
        add_server(load=load)
    assert asked("/api/server/list", "servers", "-load", "load") == [0.9, 0.5, 0.5, 0.1]
    refused = client.get("/api/user/list", params={"sort": "password"}, headers=root.headers)
    assert refused.status_code == 422
