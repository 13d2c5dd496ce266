"""HTTP of log-ins and passwords, and what a stranger can learn from it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from starlette.requests import Request
from starlette.testclient import TestClient

from derpman.access import steps
from derpman.kit import machines, passwords, puzzles
from derpman.kit.guards import FREE_MAILS
from derpman.kit.throttle import wide_network_of
from derpman.kit.work import Edge
from derpman.logs.models import SystemLog, UserLog
from derpman.users import service as users
from derpman.wiring import System
from tests.conftest import PASSWORD, MovableClock, Person, QueuedMail

Follow = Callable[..., None]
Mails = Callable[[str], list[QueuedMail]]
NEW = "another horse altogether"


def log_in(client: TestClient, email: str, password: str = PASSWORD) -> Any:
    return client.post("/api/user/login", json={"email": email, "password": password})


def is_logged_in(client: TestClient, headers: dict[str, str]) -> bool:
    return client.get("/api/user/me", headers=headers).status_code == 200


def code_of(answer: Any) -> str:
    return answer.json()["error"]["code"]


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which hashes were checked or made."""
    seen: list[str] = []
    verify, make = passwords.verify_and_update, passwords.hash

    def watched(password: str, stored: str | None) -> tuple[bool, str | None]:
        seen.append("verify")
        return verify(password, stored)

    def watched_hash(password: str) -> str:
        seen.append("hash")
        return make(password)

    monkeypatch.setattr(passwords, "verify_and_update", watched)
    monkeypatch.setattr(passwords, "hash", watched_hash)
    return seen


def test_a_login_is_by_address_in_any_case(client: TestClient, carl: Person, edge: Edge) -> None:
    answer = log_in(client, "Carl@Example.com")
    assert answer.status_code == 200
    headers = {"Authorization": f"Bearer {answer.json()['token']}"}
    assert client.get("/api/user/me", headers=headers).json()["user"]["id"] == carl.id
    assert code_of(log_in(client, "carl")) == "users.email_refused"
    actions = edge.read(lambda work: work.session.scalars(select(UserLog.action)).all())
    assert actions.count("login") == 2  # the fixture's, and this one


def test_no_answer_tells_whether_an_address_exists(
    client: TestClient, carl: Person, hashes: list[str], statements: list[str]
) -> None:
    client.post(
        "/api/user/register",
        json={"username": "dora", "email": "dora@example.com", "password": "dora's password"},
    )
    seen: list[Any] = []
    for email, password in (
        (carl.email, "wrong password"),
        ("nobody@example.com", "wrong password"),
        ("dora@example.com", "dora's password"),  # not verified yet
    ):
        hashes.clear()
        statements.clear()
        answer = log_in(client, email, password)
        seen.append((answer.status_code, answer.text, list(hashes), list(statements)))
    assert seen[0][0] == 401
    assert seen[0] == seen[1] == seen[2]


def test_no_reset_tells_whether_an_address_exists(
    client: TestClient, carl: Person, follow: Follow, hashes: list[str], statements: list[str]
) -> None:
    seen: list[Any] = []
    for email in (carl.email, "nobody@example.com"):
        statements.clear()
        answer = client.post("/api/user/password/forgot", json={"email": email})
        seen.append((answer.status_code, answer.text, list(statements)))
    assert seen[0] == seen[1]
    assert seen[0][0] == 200
    follow("access.")
    seen.clear()
    for email in (carl.email, "nobody@example.com"):
        hashes.clear()
        statements.clear()
        answer = client.post(
            "/api/user/password/reset", json={"email": email, "code": "ABCDEFGH", "password": NEW}
        )
        seen.append((answer.status_code, answer.text, list(hashes), list(statements)))
    assert seen[0] == seen[1]
    assert "access.code_refused" in seen[0][1]


def test_a_suspended_user_learns_it_with_the_right_password_only(
    client: TestClient, carl: Person, edge: Edge
) -> None:
    edge(users.suspend, user_id=carl.id, reason="the bill of March")
    assert code_of(log_in(client, carl.email, "wrong password")) == "access.wrong_login"
    answer = log_in(client, carl.email)
    assert answer.status_code == 403
    assert code_of(answer) == "users.suspended"
    assert answer.json()["error"]["params"] == {
        "reason": "the bill of March",
        "contact": "the administrators",
    }
    assert not is_logged_in(client, carl.headers)


def test_a_guesser_is_slowed_down_and_the_owner_is_not_locked_out(
    client: TestClient, carl: Person
) -> None:
    for _ in range(steps.TRIES_OF_ONE.times):
        assert log_in(client, carl.email, "wrong password").status_code == 401
    answer = log_in(client, carl.email)
    assert answer.status_code == 429
    assert code_of(answer) == "access.too_many_tries"
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    # the same from another place
    elsewhere = TestClient(client.app, client=("198.51.100.9", 50000))
    assert log_in(elsewhere, carl.email).status_code == 200


def test_a_place_that_guesses_at_many_accounts_is_slowed_down(
    client: TestClient, carl: Person
) -> None:
    for number in range(steps.TRIES_FROM_ONE.times):
        assert log_in(client, f"guess{number}@example.com").status_code == 401
    assert log_in(client, carl.email).status_code == 429


def test_logging_in_again_and_again_is_no_guessing(client: TestClient, carl: Person) -> None:
    for _ in range(steps.TRIES_OF_ONE.times + 2):
        assert log_in(client, carl.email).status_code == 200


def test_refused_logins_are_kept_without_the_password(
    client: TestClient, carl: Person, edge: Edge
) -> None:
    log_in(client, carl.email, "my other secret")
    rows = edge.read(
        lambda work: work.session.scalars(
            select(SystemLog).where(SystemLog.action == "access.login_refused")
        ).all()
    )
    assert [(row.object_id, row.ip_address) for row in rows] == [(carl.id, "testclient")]
    assert "secret" not in (rows[0].after or "")


def test_a_hash_with_old_parameters_is_renewed_at_login(
    client: TestClient, carl: Person, edge: Edge
) -> None:
    from pwdlib import PasswordHash
    from pwdlib.hashers.argon2 import Argon2Hasher

    weak = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8192, parallelism=1),))
    edge(lambda work: users.set_password(work, users.get(work, carl.id), weak.hash(PASSWORD)))
    assert log_in(client, carl.email).status_code == 200
    stored = edge.read(lambda work: users.get(work, carl.id).password)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert log_in(client, carl.email).status_code == 200


def test_sessions_are_listed_and_ended(client: TestClient, carl: Person, eve: Person) -> None:
    second = {"Authorization": f"Bearer {log_in(client, carl.email).json()['token']}"}
    sessions = client.get("/api/user/sessions", headers=carl.headers).json()["sessions"]
    assert len(sessions) == 2
    assert [session["is_current"] for session in sessions].count(True) == 1
    assert not any("token" in key for session in sessions for key in session)
    other = next(session for session in sessions if not session["is_current"])
    path = f"/api/user/sessions/{other['id']}/end"
    answer = client.post(path, headers=eve.headers)
    assert answer.status_code == 404
    assert is_logged_in(client, second)
    assert client.post(path, headers=carl.headers).json() == {"success": True}
    assert not is_logged_in(client, second)
    assert client.post(path, headers=carl.headers).status_code == 404
    third = {"Authorization": f"Bearer {log_in(client, carl.email).json()['token']}"}
    assert client.post("/api/user/sessions/end_others", headers=third).json()["ended"] == 1
    assert not is_logged_in(client, carl.headers)
    client.post("/api/user/logout", headers=third)
    answer = client.get("/api/user/me", headers=third)
    assert answer.status_code == 401
    assert code_of(answer) == "access.session_ended"
    assert is_logged_in(client, eve.headers)


def test_a_password_is_changed_with_the_present_one(
    client: TestClient, carl: Person, mails: Mails
) -> None:
    other = {"Authorization": f"Bearer {log_in(client, carl.email).json()['token']}"}
    path = "/api/user/password/change"
    answer = client.post(path, headers=carl.headers, json={"old": "wrong", "new": NEW})
    assert (answer.status_code, code_of(answer)) == (403, "access.wrong_password")
    answer = client.post(path, headers=carl.headers, json={"old": PASSWORD, "new": "carl"})
    assert code_of(answer) == "users.password_refused"
    answer = client.post(path, headers=carl.headers, json={"old": PASSWORD, "new": NEW})
    assert answer.json() == {"success": True}
    assert is_logged_in(client, carl.headers)
    assert not is_logged_in(client, other)
    assert log_in(client, carl.email).status_code == 401
    assert log_in(client, carl.email, NEW).status_code == 200
    assert [mail.template for mail in mails(carl.email)] == ["password_changed"]


def test_guessing_the_present_password_is_slowed_down(client: TestClient, carl: Person) -> None:
    answers = [
        client.post(
            "/api/user/password/change",
            headers=carl.headers,
            json={"old": f"guess {number}", "new": NEW},
        ).status_code
        for number in range(steps.TRIES_OF_ONE.times + 1)
    ]
    assert answers == [403] * steps.TRIES_OF_ONE.times + [429]


def test_a_forgotten_password_is_reset_once_by_the_mailed_code(
    client: TestClient, carl: Person, follow: Follow, mails: Mails
) -> None:
    for _ in range(2):
        client.post("/api/user/password/forgot", json={"email": carl.email.upper()})
    follow("access.")
    first, second = (mail.secrets["code"] for mail in mails(carl.email))
    path = "/api/user/password/reset"
    body = {"email": carl.email, "code": first.lower().replace("-", " "), "password": NEW}
    assert code_of(client.post(path, json={**body, "password": "12345678"})) == (
        "users.password_refused"
    )
    assert client.post(path, json=body).json() == {"success": True}
    assert not is_logged_in(client, carl.headers)
    assert log_in(client, carl.email, NEW).status_code == 200
    for code in (first, second):
        again = client.post(path, json={**body, "code": code})
        assert code_of(again) == "access.code_refused"
    assert mails(carl.email)[-1].template == "password_changed"


def test_five_wrong_codes_void_a_reset(
    client: TestClient, carl: Person, eve: Person, follow: Follow, mails: Mails
) -> None:
    for person in (carl, eve):
        client.post("/api/user/password/forgot", json={"email": person.email})
    follow("access.")
    code = mails(carl.email)[0].secrets["code"]
    body = {"email": carl.email, "code": code, "password": NEW}
    foreign = {**body, "code": mails(eve.email)[0].secrets["code"]}
    path = "/api/user/password/reset"
    for _ in range(5):
        assert code_of(client.post(path, json=foreign)) == "access.code_refused"
    assert code_of(client.post(path, json=body)) == "access.code_refused"
    assert log_in(client, carl.email).status_code == 200


def test_a_reset_lives_for_half_an_hour(
    client: TestClient, carl: Person, clock: MovableClock, follow: Follow, mails: Mails
) -> None:
    client.post("/api/user/password/forgot", json={"email": carl.email})
    follow("access.")
    clock.advance(minutes=30)
    body = {"email": carl.email, "code": mails(carl.email)[0].secrets["code"], "password": NEW}
    answer = client.post("/api/user/password/reset", json=body)
    assert code_of(answer) == "access.code_refused"


def test_forms_of_visitors_are_counted_by_place(client: TestClient) -> None:
    body = {"email": "nobody@example.com", "code": "123456"}
    answers = [client.post("/api/user/verify", json=body).status_code for _ in range(61)]
    assert answers == [422] * 60 + [429]


def test_many_mails_from_one_network_cost_a_proof_of_work(client: TestClient) -> None:
    answers = [
        client.post("/api/user/password/forgot", json={"email": f"nobody{number}@example.com"})
        for number in range(FREE_MAILS.times + 1)
    ]
    assert [answer.status_code for answer in answers] == [200] * FREE_MAILS.times + [403]
    error = answers[-1].json()["error"]
    assert (error["code"], error["params"]["bits"]) == ("access.work_needed", puzzles.BITS)
    answer = next(
        answer
        for answer in (f"{error['params']['puzzle']}:{number}" for number in itertools.count())
        if puzzles.zero_bits(answer) >= puzzles.BITS
    )
    for status in (200, 403):  # it counts once
        again = client.post(
            "/api/user/password/forgot",
            json={"email": "nobody@example.com"},
            headers={puzzles.HEADER: answer},
        )
        assert again.status_code == status


def test_a_known_browser_logs_in_from_a_network_full_of_guessers(
    client: TestClient, carl: Person, system: System
) -> None:
    client.base_url = "https://derp.example"  # type: ignore[assignment]
    assert log_in(client, carl.email).status_code == 200
    assert machines.COOKIE in client.cookies
    wide = wide_network_of("testclient")
    for _ in range(steps.TRIES_FROM_NETWORK.times):
        system.guards.throttle.take(steps.TRIES_FROM_NETWORK, wide)
    assert log_in(client, carl.email).status_code == 200
    client.cookies.clear()
    assert log_in(client, carl.email).status_code == 429


def test_a_browser_gets_a_name_once(client: TestClient, carl: Person) -> None:
    first = log_in(client, carl.email)
    cookie = first.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=lax", "Secure", "Path=/", machines.COOKIE):
        assert part in cookie
    headers = {"Cookie": cookie.partition(";")[0]}
    body = {"email": carl.email, "password": PASSWORD}
    second = client.post("/api/user/login", json=body, headers=headers)
    assert "set-cookie" not in second.headers
    digest = {"X-Machine-Code": "0" * 64}
    client.cookies.clear()
    assert "set-cookie" not in client.post("/api/user/login", json=body, headers=digest).headers


def test_the_gate_knows_who_asks_and_from_where(client: TestClient, carl: Person) -> None:
    cookie = log_in(client, carl.email).headers["set-cookie"].partition(";")[0]
    headers = {
        **carl.headers,
        "Cookie": cookie,
        "X-Browser-Fingerprint": "abcdef0123456789",
        "User-Agent": "Mozilla/5.0 " + "x" * 1000,
    }
    request = Request(
        {
            "type": "http",
            "headers": [(key.lower().encode(), value.encode()) for key, value in headers.items()],
        }
    )
    gate: Any = client.app.state.gate  # type: ignore[attr-defined] # Starlette's own state
    actor = gate.actor_of(request, "198.51.100.7")
    name = cookie.partition("=")[2].partition(".")[0]
    assert (actor.user_id, actor.name, actor.role) == (carl.id, "carl", carl.role)
    assert actor.session_id is not None
    assert actor.ip == "198.51.100.7"
    assert actor.machine == f"browser:{name}:abcdef0123456789"
    assert len(actor.user_agent) == 512


@pytest.mark.parametrize("value", ["Bearer ", "Bearer x", "bearer " + "x" * 5000, "Bearer \xe9"])
def test_a_token_that_stands_for_nobody(client: TestClient, value: str) -> None:
    answer = client.get("/api/user/me", headers={"Authorization": value.encode("latin-1")})  # type: ignore[dict-item]
    assert answer.status_code == 401
    assert code_of(answer) == "access.session_ended"


def test_another_scheme_is_no_login(client: TestClient) -> None:
    answer = client.get("/api/user/me", headers={"Authorization": "Basic Y2FybDpjYXJs"})
    assert code_of(answer) == "auth.required"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("login", {"email": "carl@example.com"}),
        ("login", {"email": ["carl@example.com"], "password": "x"}),
        ("login", {"email": "carl@example.com", "password": "x" * 129}),
        ("login", {"email": "carl@example.com", "password": "x", "admin": True}),
        ("password/forgot", {"email": 7}),
        ("password/reset", {"email": "carl@example.com", "code": "x" * 33, "password": NEW}),
    ],
)
def test_bad_input_is_refused(client: TestClient, path: str, body: object) -> None:
    answer = client.post(f"/api/user/{path}", json=body)
    assert (answer.status_code, code_of(answer)) == (422, "request.invalid")
