"""A browser's log-in: in a cookie, which counts for our own pages only."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from tests.conftest import PASSWORD, Person

PAGE = {"X-Derpman-Page": "1"}
COOKIE = "__Host-derpman_session"


@pytest.fixture
def browser(client: TestClient) -> TestClient:
    client.base_url = "https://derp.example"  # type: ignore[assignment]
    return client


def log_in(client: TestClient, who: Person, **headers: str) -> dict[str, object]:
    body = {"email": who.email, "password": PASSWORD, "browser": True}
    answer = client.post("/api/user/login", json=body, headers={**PAGE, **headers})
    assert answer.status_code == 200, answer.text
    cookie = answer.headers["set-cookie"]
    assert COOKIE in cookie
    for part in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"):
        assert part in cookie
    return answer.json()


def test_a_browser_gets_no_token_and_is_known_by_its_cookie(
    browser: TestClient, carl: Person
) -> None:
    assert not log_in(browser, carl)["token"]
    assert browser.get("/api/user/me").json()["user"]["username"] == "carl"


def test_a_cookie_log_in_needs_the_header_of_our_pages(browser: TestClient, carl: Person) -> None:
    body = {"email": carl.email, "password": PASSWORD, "browser": True}
    answer = browser.post("/api/user/login", json=body)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "access.not_from_a_page"
    assert "set-cookie" not in answer.headers


def test_without_the_header_a_cookie_changes_nothing(browser: TestClient, carl: Person) -> None:
    log_in(browser, carl)
    wanted = {"locale": "en"}
    assert browser.post("/api/user/locale", json=wanted).status_code == 401
    assert browser.post("/api/user/locale", json=wanted, headers=PAGE).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_cannot_use_the_cookie(browser: TestClient, carl: Person, site: str) -> None:
    log_in(browser, carl)
    headers = {**PAGE, "Sec-Fetch-Site": site}
    assert browser.get("/api/user/me", headers=headers).status_code == 401
    assert browser.post("/api/user/logout", headers=headers).status_code == 401
    same = {**PAGE, "Sec-Fetch-Site": "same-origin"}
    assert browser.get("/api/user/me", headers=same).status_code == 200


def test_logging_out_ends_the_session_and_drops_the_cookie(
    browser: TestClient, carl: Person
) -> None:
    log_in(browser, carl)
    kept = browser.cookies[COOKIE]
    assert browser.post("/api/user/logout", headers=PAGE).status_code == 200
    assert COOKIE not in browser.cookies
    browser.cookies.set(COOKIE, kept)
    assert browser.get("/api/user/me").status_code == 401


def test_an_old_cookie_does_not_keep_anybody_from_logging_in(
    browser: TestClient, carl: Person
) -> None:
    browser.cookies.set(COOKIE, "of-a-session-long-over")
    assert browser.get("/api/finance/plans").status_code == 200
    assert not log_in(browser, carl)["token"]


def test_a_token_is_preferred_to_a_cookie(
    browser: TestClient, carl: Person, person: Callable[..., Person]
) -> None:
    log_in(browser, carl)
    dora = person("dora")
    assert browser.get("/api/user/me", headers=dora.headers).json()["user"]["username"] == "dora"
