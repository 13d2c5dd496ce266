"""Every list of the interface can be read from either end, and taken along as CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from starlette.testclient import TestClient

from tests.conftest import Person

EXPORTED = {
    "/api/serial/list": "/api/serial/export",
    "/api/admin/my/serials": "/api/admin/my/serials/export",
    "/api/finance/orders": "/api/finance/orders/export",
}
"""Lists whose CSV has an address of its own, as the owner named it."""
OF_A_PART = {
    "/api/acl/downloads",
    "/api/acl/pushes",
    "/api/acl/versions",
    "/api/notifications/channels/{channel_id}/messages",
    "/api/security/knocks",
    "/api/server/{server_id}/health",
    "/api/server/{server_id}/log",
    "/api/traffic/quarantine",
    "/api/user/notices",
    "/api/user/rentals",
    "/api/user/{user_id}/rentals",
}
"""Short lists inside of a page: read on by a button, the newest first."""


def lists(client: TestClient) -> dict[str, set[str]]:
    """The lists that go on page by page, with the names of what can be asked."""
    paths: dict[str, Any] = client.get("/openapi.json").json()["paths"]
    named = {
        path: {one["name"] for one in methods.get("get", {}).get("parameters", [])}
        for path, methods in paths.items()
    }
    return {path: names for path, names in named.items() if {"before", "limit"} <= names}


def rows_of(answer: Any) -> list[dict[str, Any]]:
    return next(value for value in answer.values() if isinstance(value, list))


def test_every_list_is_taken_along_as_csv(client: TestClient, root: Person, rita: Person) -> None:
    found = lists(client)
    without = {path for path, names in found.items() if "format" not in names}
    assert without == EXPORTED.keys() | EXPORTED.values() | OF_A_PART
    for path, names in found.items():
        if "format" not in names:
            continue
        who = rita if "/my/" in path else root
        asked = path.replace("{user_id}", str(rita.id))
        answer = client.get(asked, params={"format": "csv"}, headers=who.headers)
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["content-type"].startswith("text/csv"), path
        (head, *_) = csv.reader(io.StringIO(answer.text.removeprefix("\ufeff")))
        assert {"id", "user_id", "entry_id"} & set(head), (path, head)


def test_every_list_is_read_from_either_end(
    client: TestClient, root: Person, rita: Person, carl: Person
) -> None:
    turned = 0
    for path, names in lists(client).items():
        if "sort" not in names or path in EXPORTED.values():
            continue
        who = rita if "/my/" in path else root
        asked = path.replace("{user_id}", str(rita.id))

        def ids(sort: str | None, asked: str = asked, who: Person = who) -> list[int]:
            params = {} if sort is None else {"sort": sort}
            answer = client.get(asked, params=params | {"limit": 200}, headers=who.headers)
            assert answer.status_code == 200, (asked, sort, answer.text)
            rows = rows_of(answer.json())
            return [one["user_id"] if "id" not in one else one["id"] for one in rows]

        newest = ids(None)
        assert newest == sorted(newest, reverse=True), path
        assert ids("-time") == newest
        assert ids("time") == newest[::-1]
        turned += len(newest) > 1
    assert turned >= 2  # of accounts and of the operation log there is more than one row
