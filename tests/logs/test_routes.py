"""The logs over HTTP."""

import csv
import io

import pytest

from derpman.kit import csvfile
from derpman.kit.errors import NotFound
from derpman.kit.work import Actor, Edge, Role
from derpman.logs import service

PATHS = ["/api/logs/system", "/api/logs/user", "/api/logs/history", "/api/logs/server"]


@pytest.mark.parametrize("path", PATHS)
def test_only_for_admins(client, eve, rita, path: str):
    assert client.get(path).status_code == 401
    for person in (eve, rita):
        assert client.get(path, headers=person.headers).status_code == 403


@pytest.fixture
def filled(edge_of, clock) -> Edge:
    """Three lines of an admin at 08:00, 09:00 and 10:00, and one in each other log."""
    run = edge_of(Actor(role=Role.ADMIN, user_id=70, name="dora", ip="198.51.100.7"))
    for object_id, action in enumerate(("test.add", "test.drop", "other.add"), start=1):
        run(
            service.record,
            action=action,
            object_type="thing",
            object_id=object_id,
            after={"note": f"=Note {object_id}", "percent": "100%"},
        )
        clock.advance(hours=1)
    run(service.record_user, user_id=5, action="login")
    run(service.record_history, user_id=5, kind="rental.activated", rental_id=8)
    run(service.record_server, server_id=6, action="add", result="ok", detail={"a": 1})
    return run


def ids(client, person, query: str) -> list[int]:
    answer = client.get(f"/api/logs/system?object_type=thing&{query}", headers=person.headers)
    assert answer.status_code == 200, answer.text
    return [log["object_id"] for log in answer.json()["logs"]]


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [3, 2, 1]),
        ("action=test.", [2, 1]),
        ("action=test.add", [1]),
        ("actor_id=70", [3, 2, 1]),
        ("actor_id=71", []),
        ("object_id=2", [2]),
        ("ip=198.51.100.7", [3, 2, 1]),
        ("ip=198.51.100.8", []),
        ("from=2026-03-01T09:00:00Z", [3, 2]),
        ("to=2026-03-01T17:00:00%2B08:00", [1]),
        ("from=2026-03-01T08:30:00Z&to=2026-03-01T09:30:00Z", [2]),
        ("search=NOTE 2", [2]),
        ("search=DORA", [3, 2, 1]),
        ("search=100%25", [3, 2, 1]),
        ("search=1_0", []),
        ("limit=2", [3, 2]),
    ],
)
def test_filters(client, root, query: str, found: list[int]):
    assert ids(client, root, query) == found


@pytest.mark.usefixtures("filled")
def test_pages(client, root):
    path = "/api/logs/system?object_type=thing&limit=2"
    first = client.get(path, headers=root.headers).json()
    assert first["success"] is True
    rest = client.get(f"{path}&before={first['next_before']}", headers=root.headers).json()
    assert [log["object_id"] for log in first["logs"] + rest["logs"]] == [3, 2, 1]
    assert rest["next_before"] is None


@pytest.mark.usefixtures("filled")
def test_what_a_line_has(client, root):
    (line,) = client.get(
        "/api/logs/system?object_id=1&object_type=thing", headers=root.headers
    ).json()["logs"]
    assert line["actor_name"] == "dora"
    assert line["actor_role"] == "admin"
    assert line["before"] is None
    assert line["after"] == {"note": "=Note 1", "percent": "100%"}
    assert line["created_at"] == "2026-03-01T08:00:00Z"


@pytest.mark.usefixtures("filled")
def test_the_other_logs(client, root):
    for query, column, value in (
        ("user?user_id=5", "action", "login"),
        ("history?user_id=5&rental_id=8", "kind", "rental.activated"),
        ("history?search=ACTIVATED&kind=rental.", "kind", "rental.activated"),
        ("server?server_id=6&result=ok", "detail", {"a": 1}),
    ):
        answer = client.get(f"/api/logs/{query}", headers=root.headers)
        assert [log[column] for log in answer.json()["logs"]] == [value]


@pytest.mark.usefixtures("filled")
def test_csv_has_all_pages_and_no_formulas(client, root, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(csvfile, "PAGE_ROWS", 2)
    answer = client.get("/api/logs/system?object_type=thing&format=csv", headers=root.headers)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "system_logs.csv" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert [row["object_id"] for row in rows] == ["3", "2", "1"]
    assert rows[0]["before"] == ""
    assert all(not cell.startswith("=") for row in rows for cell in row.values())
    empty = client.get("/api/logs/user?user_id=99&format=csv", headers=root.headers)
    assert len(empty.text.splitlines()) == 1


def test_a_question_that_fails_is_answered_with_an_error_and_not_half_a_file():
    def fetch(before: int | None, limit: int) -> tuple[list[object], int | None]:
        raise NotFound

    with pytest.raises(NotFound):
        csvfile.csv_file("things", ["id"], fetch)


def test_a_cell_that_would_be_a_formula_is_disarmed():
    assert csvfile._cell('=HYPERLINK("x")') == '\'=HYPERLINK("x")'
    assert csvfile._cell(-5) == "-5" or csvfile._cell(-5) == "'-5"


@pytest.mark.parametrize(
    "query",
    [
        "unknown=1",
        "from=yesterday",
        "from=2026-03-01T09:00:00",
        "from=0001-01-01T00:00:00%2B14:00",
        "to=9999-12-31T23:59:59-14:00",
        "actor_id=0",
        "object_id=99999999999999999999",
        "limit=201",
        "before=0",
        "format=xml",
        "search=%00",
        "action=" + "x" * 65,
    ],
)
def test_bad_queries(client, root, query: str):
    answer = client.get(f"/api/logs/system?{query}", headers=root.headers)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "request.invalid"
