"""A list can be taken along whole, with a column for each plain field."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field

from derpman.kit.csvfile import columns_of
from derpman.kit.work import Edge
from derpman.serials import service as serials
from tests.conftest import Person


class Inner(BaseModel):
    name: str


class Row(BaseModel):
    id: Annotated[int, Field(ge=1)]
    at: datetime | None
    inner: Inner | None
    many: list[str]
    named: dict[str, int] | None
    text: str = ""


def test_what_does_not_fit_into_a_cell_is_left_out() -> None:
    assert columns_of(Row) == ["id", "at", "text"]


@pytest.mark.parametrize(
    ("path", "column"),
    [
        ("/api/user/list", "email"),
        ("/api/server/list", "ip"),
        ("/api/container/list", "observed"),
        ("/api/notifications/mails", "address"),
        ("/api/finance/receipts", "status"),
        ("/api/ha/moves", "cause"),
        ("/api/acl/rotations", "username"),
        ("/api/acl/all_versions", "version"),
        ("/api/admin/distributor/list", "username"),
        ("/api/admin/applications", "quantity"),
    ],
)
def test_lists_of_admins_are_taken_along(
    client: TestClient, root: Person, rita: Person, carl: Person, edge: Edge,
    add_server: Callable[..., int], path: str, column: str,
) -> None:  # fmt: skip
    for _ in range(3):
        add_server()
    [made] = edge(serials.generate, duration_days=30, count=1)
    client.post("/api/user/activate", json={"code": made.code}, headers=carl.headers)
    shown = client.get(path, headers=root.headers).json()
    [rows] = [shown[name] for name in shown if isinstance(shown[name], list) and name != "regions"]
    answer = client.get(path, params={"format": "csv", "limit": 1}, headers=root.headers)
    assert answer.headers["content-type"].startswith("text/csv")
    lines = answer.text.removeprefix("\ufeff").strip().split("\r\n")
    head = lines[0].split(",")
    assert column in head
    assert len(lines) == len(rows) + 1  # all of them, whatever the limit of a page
    if path == "/api/user/list":
        narrowed = client.get(
            path, params={"format": "csv", "search": "carl"}, headers=root.headers
        )
        assert narrowed.text.count("\r\n") == 2
        assert client.get(path, params={"format": "csv"}, headers=carl.headers).status_code == 403
