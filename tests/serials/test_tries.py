"""Serials cannot be guessed: wrong ones are counted for the user and for his network."""

from __future__ import annotations

from starlette.testclient import TestClient

from derpman.serials import codes
from derpman.serials.tries import WRONG_OF_ONE
from tests.conftest import Person


def test_who_enters_serials_that_do_not_exist_is_slowed_down(
    client: TestClient, carl: Person, eve: Person
) -> None:
    for path in ("/api/user/activate", "/api/user/renew"):
        body = {"code": codes.generate()}
        answer = client.post(path, headers=carl.headers, json=body)
        assert answer.status_code == 404, answer.text
    for _ in range(WRONG_OF_ONE.times - 2):
        client.post("/api/user/activate", headers=carl.headers, json={"code": codes.generate()})
    answer = client.post(
        "/api/user/activate", headers=carl.headers, json={"code": codes.generate()}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "access.too_many_tries")
    answer = client.post("/api/user/activate", headers=eve.headers, json={"code": codes.generate()})
    assert answer.status_code == 404


def test_a_typing_error_is_no_guess(client: TestClient, carl: Person) -> None:
    for _ in range(WRONG_OF_ONE.times + 2):
        answer = client.post("/api/user/activate", headers=carl.headers, json={"code": "ABCDE"})
        assert answer.status_code == 422
