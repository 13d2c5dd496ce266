"""From the wish to have an account to the account, and what a stranger can learn on the way."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, text
from starlette.testclient import TestClient

from derpman.kit import codes, passwords
from derpman.kit.work import Edge, Role, UnitOfWork
from derpman.logs.models import SystemLog
from derpman.users import registration, service
from derpman.users.models import Registration, User
from derpman.wiring import System
from tests.conftest import MovableClock, Person, QueuedMail

Follow = Callable[..., None]
Mails = Callable[[str], list[QueuedMail]]
DORA = {"username": "Dora", "email": "dora@example.com", "password": "correct horse"}


def register(client: TestClient, **other: str) -> int:
    answer = client.post("/api/user/register", json={**DORA, **other})
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"success", "user_id"}
    return answer.json()["user_id"]


def count(system: System, table: type) -> int:
    with system.sessions.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06d}"


def test_an_account_is_opened_by_the_mailed_code(
    client: TestClient, system: System, follow: Follow, mails: Mails
) -> None:
    user_id = register(client)
    login = {"email": DORA["email"], "password": DORA["password"]}
    assert client.post("/api/user/login", json=login).status_code == 401
    follow("users.")
    (mail,) = mails(DORA["email"])
    assert mail.template == "verify_address"
    assert mail.secrets["code"] not in mail.text
    answer = client.post(
        "/api/user/verify", json={"email": "DORA@example.com", "code": mail.secrets["code"]}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"]["id"] == user_id
    assert answer.json()["user"]["role"] == "user"
    answer = client.post("/api/user/login", json=login)
    assert answer.status_code == 200
    assert set(answer.json()) == {"success", "token", "user"}
    with system.sessions.reading() as session:
        actions = session.scalars(select(SystemLog.action)).all()
    assert "user.verify" in actions


def test_an_account_is_opened_by_the_mailed_link(
    client: TestClient, follow: Follow, mails: Mails
) -> None:
    user_id = register(client, locale="en")
    follow("users.")
    (mail,) = mails(DORA["email"])
    assert mail.locale == "en"
    token = mail.secrets["token"]
    forged = token[:-1] + ("0" if token[-1] != "0" else "1")
    for other in (forged, f"{user_id + 1}{token[token.index('-') :]}", "1-ab", "nothing"):
        answer = client.post("/api/user/verify", json={"token": other})
        assert answer.status_code == 422, other
        assert answer.json()["error"]["code"] == "users.code_refused"
    answer = client.post("/api/user/verify", json={"token": token})
    assert answer.json()["user"]["id"] == user_id
    again = client.post("/api/user/verify", json={"token": token})
    assert again.json()["user"]["id"] == user_id


def test_a_known_address_is_answered_alike_and_its_owner_told(
    client: TestClient,
    system: System,
    carl: Person,
    follow: Follow,
    mails: Mails,
    statements: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashed: list[str] = []
    real = passwords.hash
    monkeypatch.setattr(
        passwords, "hash", lambda password: hashed.append(password) or real(password)
    )

    def asked(email: str, username: str) -> tuple[int, list[str]]:
        statements.clear()
        return register(client, email=email, username=username), list(statements)

    unknown, for_unknown = asked("new@example.com", "newcomer")
    known, for_known = asked(carl.email.upper(), "stranger")
    assert known == unknown + 1
    assert for_known == for_unknown
    assert len(hashed) == 2
    follow("users.")
    (mail,) = mails(carl.email)
    assert mail.template == "address_exists"
    assert mail.secrets == {}
    assert mails("new@example.com")[0].template == "verify_address"
    # and no code opens the decoy
    with system.sessions.reading() as session:
        decoy = session.get_one(Registration, known)
        assert decoy.code_hash is None
    answer = client.post("/api/user/verify", json={"email": carl.email, "code": "000000"})
    assert answer.status_code == 422


def test_a_taken_username_may_be_told(client: TestClient, carl: Person) -> None:
    answer = client.post("/api/user/register", json={**DORA, "username": "CARL"})
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "users.username_taken"
    # whatever the address
    answer = client.post(
        "/api/user/register", json={**DORA, "username": "CARL", "email": carl.email}
    )
    assert answer.json()["error"]["code"] == "users.username_taken"


@pytest.mark.parametrize("known", [True, False])
def test_the_sixth_mail_in_ten_minutes_is_refused(
    client: TestClient,
    carl: Person,
    clock: MovableClock,
    follow: Follow,
    mails: Mails,
    known: bool,
) -> None:
    email = carl.email if known else DORA["email"]
    register(client, email=email)
    ways = (
        lambda: client.post("/api/user/register", json={**DORA, "email": email.upper()}),
        lambda: client.post("/api/user/resend", json={"email": email}),
        lambda: client.post("/api/user/password/forgot", json={"email": email}),
    )
    for way in (*ways, ways[1]):
        clock.advance(minutes=1)
        assert way().json()["success"]
    follow("users.", "access.")
    before = len(mails(email))
    for way in ways:
        answer = way()
        assert answer.status_code == 429, answer.text
        assert answer.headers["retry-after"] == "360"
    follow("users.", "access.")
    assert len(mails(email)) == before == (5 if known else 4)  # nothing to reset, nothing sent
    clock.advance(minutes=6, seconds=1)
    assert ways[1]().status_code == 200


def test_five_wrong_codes_void_the_code_and_a_new_one_works(
    client: TestClient, clock: MovableClock, follow: Follow, mails: Mails
) -> None:
    user_id = register(client)
    follow("users.")
    code = mails(DORA["email"])[0].secrets["code"]
    for _ in range(5):
        answer = client.post("/api/user/verify", json={"email": DORA["email"], "code": wrong(code)})
        assert answer.json()["error"]["code"] == "users.code_refused"
    answer = client.post("/api/user/verify", json={"email": DORA["email"], "code": code})
    assert answer.json()["error"]["code"] == "users.code_refused"
    client.post("/api/user/resend", json={"email": DORA["email"]})
    follow("users.")
    code = mails(DORA["email"])[1].secrets["code"]
    answer = client.post("/api/user/verify", json={"email": DORA["email"], "code": code})
    assert answer.json()["user"]["id"] == user_id


def test_a_code_lives_for_half_an_hour(
    client: TestClient, clock: MovableClock, follow: Follow, mails: Mails
) -> None:
    register(client)
    follow("users.")
    secrets = mails(DORA["email"])[0].secrets
    clock.advance(minutes=30)
    for body in ({"email": DORA["email"], "code": secrets["code"]}, {"token": secrets["token"]}):
        answer = client.post("/api/user/verify", json=body)
        assert answer.json()["error"]["code"] == "users.code_refused"


def test_a_wrong_code_costs_the_same_for_every_address(
    client: TestClient, system: System, carl: Person, follow: Follow, statements: list[str]
) -> None:
    register(client)
    follow("users.")
    asked: list[list[str]] = []
    for email in (DORA["email"], carl.email, "nobody@example.com"):
        statements.clear()
        answer = client.post("/api/user/verify", json={"email": email, "code": "12345"})
        assert answer.json()["error"]["code"] == "users.code_refused"
        asked.append(list(statements))
    assert asked[0] == asked[1] == asked[2]


def test_many_guesses_at_once_are_heard_five_times(
    client: TestClient,
    system: System,
    follow: Follow,
    mails: Mails,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register(client)
    follow("users.")
    code = mails(DORA["email"])[0].secrets["code"]
    compared: list[str] = []
    real = codes.fits

    def watched(vault: Any, purpose: str, row_id: int, typed: str, stored: str | None) -> bool:
        compared.append(typed)
        return real(vault, purpose, row_id, typed, stored)

    monkeypatch.setattr(codes, "fits", watched)

    def guess(number: int) -> None:
        system.edge()(registration.verify_code, email=DORA["email"], code=f"x{number:05d}")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(guess, range(24)))
    # a transaction that runs again compares again, and its first comparison was undone unseen
    assert len(set(compared)) == 5
    assert system.edge()(registration.verify_code, email=DORA["email"], code=code) is None


def test_two_verifications_at_once_open_one_account(
    client: TestClient, system: System, follow: Follow, mails: Mails
) -> None:
    user_id = register(client)
    register(client, username="Dora2")  # the same person, once more
    follow("users.")
    first, second = mails(DORA["email"])

    def verify(code: str) -> User | None:
        return system.edge()(registration.verify_code, email=DORA["email"], code=code)

    def verify_token(token: str) -> User | None:
        return system.edge()(registration.verify_link, token=token)

    with ThreadPoolExecutor(4) as threads:
        opened = [
            *threads.map(verify, [first.secrets["code"]] * 2 + [second.secrets["code"]] * 2),
            *threads.map(verify_token, [first.secrets["token"], second.secrets["token"]] * 2),
        ]
    ids = {user.id for user in opened if user is not None}
    assert len(ids) == 1
    assert ids <= {user_id, user_id + 1}
    assert count(system, User) == 1


def test_a_username_taken_meanwhile_can_be_replaced(
    client: TestClient, follow: Follow, mails: Mails, edge: Edge
) -> None:
    user_id = register(client)
    follow("users.")
    edge(
        service.create,
        username="dora",
        email="another@example.com",
        password_hash="!",
        role=Role.USER,
        locale="en",
    )
    body = {"email": DORA["email"], "code": mails(DORA["email"])[0].secrets["code"]}
    for _ in range(6):  # the right code costs no try
        answer = client.post("/api/user/verify", json=body)
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == "users.username_taken"
    answer = client.post("/api/user/verify", json={**body, "username": "admin"})
    assert answer.json()["error"]["code"] == "users.username_refused"
    answer = client.post("/api/user/verify", json={**body, "username": "Dora-2"})
    assert answer.json()["user"]["username"] == "Dora-2"
    assert answer.json()["user"]["id"] == user_id


def test_the_id_narrows_down_which_registration_is_meant(
    client: TestClient, follow: Follow, mails: Mails
) -> None:
    mine = register(client)
    strangers = register(client, username="mallory", password="mallory's own")
    follow("users.")
    _, foreign = mails(DORA["email"])
    body = {"email": DORA["email"], "code": foreign.secrets["code"], "user_id": mine}
    assert client.post("/api/user/verify", json=body).status_code == 422
    answer = client.post("/api/user/verify", json={**body, "user_id": strangers})
    assert answer.json()["user"]["username"] == "mallory"


def test_old_registrations_go_and_their_ids_stay_used(
    client: TestClient, system: System, clock: MovableClock
) -> None:
    first = register(client)
    clock.advance(days=31)
    assert system.edge()(registration.forget_old) == 1
    assert system.edge()(registration.forget_old) == 0
    assert register(client) == first + 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "dora@example.com"},
        {"code": "123456"},
        {"email": "dora@example.com", "code": "123456", "token": "1-abcdef"},
        {"email": "dora@example.com", "token": "1-abcdef"},
        {"email": "dora@example.com", "code": 123456},
        {"token": "1-abcdef", "user_id": 0},
        {"token": "1-abcdef", "more": 1},
        {"token": "x" * 129},
    ],
)
def test_a_verification_is_by_code_or_by_link(client: TestClient, body: dict[str, object]) -> None:
    answer = client.post("/api/user/verify", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "request.invalid"


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"username": "admin"}, "users.username_refused"),
        ({"username": "c\u0430rl"}, "users.username_refused"),
        ({"email": "dora"}, "users.email_refused"),
        ({"password": "12345678"}, "users.password_refused"),
        ({"password": "x" * 129}, "request.invalid"),
        ({"password": ["correct horse"]}, "request.invalid"),
        ({"role": "super_admin"}, "request.invalid"),
        ({"locale": "fr"}, "request.invalid"),
    ],
)
def test_bad_input_has_a_stable_code(
    client: TestClient, system: System, other: dict[str, object], code: str
) -> None:
    answer = client.post("/api/user/register", json={**DORA, **other})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == code
    assert count(system, Registration) == 0


def test_nothing_secret_is_stored_or_answered(
    client: TestClient, system: System, follow: Follow, mails: Mails
) -> None:
    register(client)
    follow("users.")
    secrets = mails(DORA["email"])[0].secrets

    def everything(work: UnitOfWork) -> str:
        tables = ("registrations", "mails", "system_logs", "user_logs", "deliveries")
        return str([work.session.execute(text(f"SELECT * FROM {name}")).all() for name in tables])  # noqa: S608

    stored = system.edge().read(everything)
    for secret in (DORA["password"], *secrets.values()):
        assert secret not in stored
