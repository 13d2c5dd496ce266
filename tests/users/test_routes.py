"""HTTP of accounts: what each member of the cast gets to see."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from derpman.kit.work import Role
from tests.conftest import PASSWORD, Person

People = Callable[..., Person]


def names(client: TestClient, person: Person, **query: object) -> list[str]:
    answer = client.get("/api/user/list", headers=person.headers, params=query)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return [user["username"] for user in answer.json()["users"]]


def test_everybody_sees_himself(client: TestClient, carl: Person, eve: Person) -> None:
    for someone in (carl, eve):
        user = client.get("/api/user/me", headers=someone.headers).json()["user"]
        assert user["username"] == someone.username
        assert "password" not in user


def test_staff_list_and_search(
    client: TestClient, root: Person, carl: Person, eve: Person, rita: Person, person: People
) -> None:
    person("Carla")
    person("a%b".replace("%", "_"))
    assert names(client, root) == ["a_b", "Carla", "rita", "eve", "carl", "root_"]
    assert names(client, root, search="CAR") == ["carl", "Carla"]
    assert names(client, root, search="carl@") == ["carl"]
    assert names(client, root, search="a_") == ["a_b"]
    assert names(client, root, search="%") == []
    assert names(client, root, role="distributor") == ["rita"]
    assert names(client, root, status="suspended") == []
    page = client.get("/api/user/list", headers=root.headers, params={"limit": 4}).json()
    assert [user["username"] for user in page["users"]] == ["a_b", "Carla", "rita", "eve"]
    assert names(client, root, before=page["next_before"]) == ["carl", "root_"]
    one = client.get(f"/api/user/{carl.id}", headers=root.headers).json()
    assert one["user"]["email"] == carl.email
    assert client.get("/api/user/999999", headers=root.headers).status_code == 404


def test_a_role_is_given_by_a_super_admin(
    client: TestClient, root: Person, carl: Person, person: People
) -> None:
    ada = person("ada", Role.ADMIN)
    path = f"/api/user/{carl.id}/role"
    assert client.post(path, headers=ada.headers, json={"role": "admin"}).status_code == 403
    for role in ("system", "nobody", "king"):
        assert client.post(path, headers=root.headers, json={"role": role}).status_code == 422
    answer = client.post(path, headers=root.headers, json={"role": "admin"})
    assert answer.json()["user"]["role"] == "admin"
    assert client.get("/api/user/list", headers=carl.headers).status_code == 401  # ended with it
    again = client.post("/api/user/login", json={"email": carl.email, "password": PASSWORD}).json()
    headers = {"Authorization": f"Bearer {again['token']}"}
    assert client.get("/api/user/list", headers=headers).status_code == 200


def test_a_language_is_chosen(client: TestClient, carl: Person) -> None:
    answer = client.post("/api/user/locale", headers=carl.headers, json={"locale": "en"})
    assert answer.json()["user"]["locale"] == "en"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/user/list", None),
        ("GET", "/api/user/{carl}", None),
        ("POST", "/api/user/{carl}/role", {"role": "super_admin"}),
        ("POST", "/api/user/{eve}/role", {"role": "super_admin"}),
    ],
)
def test_eve_is_refused(
    client: TestClient, carl: Person, eve: Person, method: str, path: str, body: object
) -> None:
    path = path.format(carl=carl.id, eve=eve.id)
    assert client.request(method, path, headers=eve.headers, json=body).status_code == 403
    answer = client.request(method, path, json=body)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "auth.required"


@pytest.mark.parametrize("odd", ["0", "-1", "x", "9" * 19, "9" * 20, "9" * 5000, "%00", "1/x"])
def test_an_odd_id_is_no_user(client: TestClient, root: Person, odd: str) -> None:
    answer = client.get(f"/api/user/{odd}", headers=root.headers)
    assert answer.status_code in (404, 422), answer.text
    assert answer.json()["success"] is False


@pytest.mark.parametrize("path", ["/api/user/me", "/api/user/sessions"])
def test_a_visitor_is_asked_to_log_in(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
