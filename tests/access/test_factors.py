"""The second factor, showing once more who one is, and API tokens."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from derpman.access import factors, steps, tokens
from derpman.access.errors import WrongSecondFactor
from derpman.access.models import ApiToken, RecoveryCode, SecondFactor
from derpman.access.states import TokenScope
from derpman.kit import totp
from derpman.kit.secrets import token_hash
from derpman.kit.work import Actor, Edge, Role
from derpman.users import service as users
from derpman.wiring import System
from tests.conftest import PASSWORD, MovableClock, Person, QueuedMail

Mails = Callable[[str], list[QueuedMail]]
EdgeOf = Callable[[Actor], Edge]


def code_of(answer: Any) -> str:
    return answer.json()["error"]["code"] if answer.status_code != 200 else "ok"


def log_in(client: TestClient, who: Person, **more: str) -> Any:
    body = {"email": who.email, "password": PASSWORD, **more}
    return client.post("/api/user/login", json=body)


class App:
    """An authenticator app."""

    def __init__(self, secret: str, clock: MovableClock) -> None:
        self.secret = secret
        self._clock = clock

    def code(self) -> str:
        return totp.code_at(self.secret, totp.step_at(self._clock.now))

    def next(self) -> str:
        self._clock.advance(seconds=totp.STEP_SECONDS)
        return self.code()


@pytest.fixture
def enrol(client: TestClient, clock: MovableClock) -> Callable[[Person], tuple[App, list[str]]]:
    def make(who: Person) -> tuple[App, list[str]]:
        path = "/api/user/second_factor"
        begun = client.post(f"{path}/begin", headers=who.headers).json()
        app = App(begun["secret"], clock)
        assert begun["secret"] in begun["address"]
        answer = client.post(f"{path}/confirm", headers=who.headers, json={"code": app.code()})
        assert answer.status_code == 200, answer.text
        return app, answer.json()["recovery_codes"]

    return make


def test_a_login_with_a_second_factor_needs_a_code_that_counts_once(
    client: TestClient, carl: Person, enrol: Any, mails: Mails
) -> None:
    app, _ = enrol(carl)
    assert code_of(log_in(client, carl)) == "access.second_factor_needed"
    assert code_of(log_in(client, carl, code=app.code())) == "access.wrong_second_factor"  # used
    code = app.next()
    assert code_of(log_in(client, carl, code=f"{code[:3]} {code[3:]}")) == "ok"
    assert code_of(log_in(client, carl, code=code)) == "access.wrong_second_factor"
    assert mails(carl.email)[-1].template == "security_event"


def test_only_the_right_password_is_told_of_the_second_factor(
    client: TestClient, carl: Person, enrol: Any
) -> None:
    enrol(carl)
    body = {"email": carl.email, "password": "wrong password", "code": "123456"}
    assert code_of(client.post("/api/user/login", json=body)) == "access.wrong_login"


def test_a_recovery_code_stands_in_once(client: TestClient, carl: Person, enrol: Any) -> None:
    _, codes = enrol(carl)
    assert len(set(codes)) == factors.RECOVERY_CODES
    assert code_of(log_in(client, carl, code=codes[0].lower())) == "ok"
    assert code_of(log_in(client, carl, code=codes[0])) == "access.wrong_second_factor"
    left = client.get("/api/user/second_factor", headers=carl.headers).json()
    assert (left["is_on"], left["recovery_codes_left"]) == (True, factors.RECOVERY_CODES - 1)


def test_of_the_same_code_twice_at_once_one_counts(
    edge: Edge, edge_of: EdgeOf, carl: Person, clock: MovableClock
) -> None:
    mine = edge_of(carl.actor)
    secret, _ = mine(factors.begin)
    mine(factors.confirm, code=totp.code_at(secret, totp.step_at(clock.now)))
    clock.advance(seconds=30)
    code = totp.code_at(secret, totp.step_at(clock.now))

    def spend() -> bool:
        try:
            edge(factors.pass_login, user_id=carl.id, code=code)
        except WrongSecondFactor:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(lambda _: spend(), range(6))) == 1


def test_nothing_of_it_is_stored_in_plain(edge: Edge, edge_of: EdgeOf, carl: Person) -> None:
    secret, _ = edge_of(carl.actor)(factors.begin)
    stored = edge.read(lambda work: work.session.scalar(select(SecondFactor.secret)))
    assert stored is not None
    assert secret not in stored
    assert edge.vault.open(stored) == secret


def test_guessing_codes_ends_soon_and_needs_the_password(
    client: TestClient, carl: Person, enrol: Any
) -> None:
    enrol(carl)
    answers = [
        code_of(log_in(client, carl, code=f"{number:06d}"))
        for number in range(steps.CODES_OF_ONE.times)
    ]
    assert answers[-1] == "access.too_many_tries"
    assert "ok" not in answers


def test_it_is_removed_with_a_code_and_never_where_it_is_demanded(
    client: TestClient, carl: Person, root: Person, enrol: Any, system: System
) -> None:
    app, _ = enrol(carl)
    path = "/api/user/second_factor/remove"
    answer = client.post(path, headers=carl.headers, json={"code": "000000"})
    assert code_of(answer) == "access.wrong_second_factor"
    answer = client.post(path, headers=carl.headers, json={"code": app.next()})
    assert code_of(answer) == "ok"
    assert code_of(log_in(client, carl)) == "ok"
    demand(client, system, Role.SUPER_ADMIN)
    app, _ = enrol(root)
    answer = client.post(path, headers=root.headers, json={"code": app.next()})
    assert code_of(answer) == "access.second_factor_demanded"


def demand(client: TestClient, system: System, *roles: Role) -> None:
    guards = replace(system.guards, second_factor_for=frozenset(roles))
    system.__dict__["guards"] = guards
    client.app.state.guards = guards  # type: ignore[attr-defined]


def test_whom_it_is_demanded_of_can_do_nothing_before_he_has_it(
    client: TestClient, root: Person, carl: Person, enrol: Any, system: System
) -> None:
    demand(client, system, Role.SUPER_ADMIN)
    assert client.get("/api/user/list", headers=carl.headers).status_code == 403
    answer = client.get("/api/user/list", headers=root.headers)
    assert code_of(answer) == "access.second_factor_required"
    assert client.get("/api/user/sessions", headers=root.headers).status_code == 200
    enrol(root)
    assert client.get("/api/user/list", headers=root.headers).status_code == 200


def test_what_hurts_needs_a_fresh_proof(
    client: TestClient, root: Person, carl: Person, clock: MovableClock
) -> None:
    path = f"/api/user/{carl.id}/role"
    clock.advance(minutes=16)
    answer = client.post(path, headers=root.headers, json={"role": "distributor"})
    assert code_of(answer) == "access.proof_needed"
    prove = "/api/user/prove"
    answer = client.post(prove, headers=root.headers, json={"password": "wrong password"})
    assert code_of(answer) == "access.wrong_password"
    answer = client.post(prove, headers=root.headers, json={"password": PASSWORD})
    assert code_of(answer) == "ok"
    answer = client.post(path, headers=root.headers, json={"role": "distributor"})
    assert code_of(answer) == "ok"


def test_who_has_a_second_factor_proves_with_both(
    client: TestClient, root: Person, enrol: Any
) -> None:
    app, _ = enrol(root)
    prove, body = "/api/user/prove", {"password": PASSWORD}
    answer = client.post(prove, headers=root.headers, json=body)
    assert code_of(answer) == "access.second_factor_needed"
    answer = client.post(prove, headers=root.headers, json={**body, "code": app.next()})
    assert code_of(answer) == "ok"


def test_a_changed_role_ends_the_sessions_and_tokens_from_before(
    client: TestClient, edge: Edge, carl: Person
) -> None:
    made = client.post("/api/user/tokens", headers=carl.headers, json={"name": "a"}).json()
    edge(users.set_role, user_id=carl.id, role=Role.DISTRIBUTOR)
    assert client.get("/api/user/me", headers=carl.headers).status_code == 401
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert client.get("/api/user/me", headers=bearer).status_code == 401
    assert code_of(log_in(client, carl)) == "ok"


def test_a_super_admin_takes_a_lost_second_factor_away(
    client: TestClient, root: Person, carl: Person, eve: Person, enrol: Any
) -> None:
    enrol(carl)
    path = f"/api/security/users/{carl.id}/second_factor/reset"
    assert client.post(path, headers=eve.headers).status_code == 403
    assert client.post(path, headers=root.headers).status_code == 200
    assert client.get("/api/user/me", headers=carl.headers).status_code == 401
    assert code_of(log_in(client, carl)) == "ok"
    assert code_of(client.post(path, headers=root.headers)) == "access.no_second_factor"


def test_a_token_reads_and_does_not_write_or_touch_logins(
    client: TestClient, root: Person, carl: Person, clock: MovableClock, edge: Edge
) -> None:
    answer = client.post(
        "/api/user/tokens", headers=root.headers, json={"name": "graphs", "days": 2}
    ).json()
    assert answer["token"].startswith(tokens.PREFIX)
    bearer = {"Authorization": f"Bearer {answer['token']}"}
    assert client.get("/api/user/list", headers=bearer).status_code == 200
    for method, path in (
        ("GET", "/api/user/sessions"),
        ("POST", "/api/user/locale"),
        ("POST", "/api/user/tokens"),
        ("POST", f"/api/user/{carl.id}/role"),
    ):
        body = {"locale": "en"} if method == "POST" else None
        answer_ = client.request(method, path, headers=bearer, json=body)
        assert answer_.status_code in (403, 422), path
    answer_ = client.post("/api/user/locale", headers=bearer, json={"locale": "en"})
    assert code_of(answer_) == "access.not_by_token"
    row = edge.read(lambda work: work.session.scalars(select(ApiToken)).one())
    assert row.last_used_at is not None
    assert row.token_hash == token_hash(answer["token"])
    clock.advance(days=3)
    assert client.get("/api/user/me", headers=bearer).status_code == 401


def test_a_token_that_writes_still_does_not_do_what_hurts(
    client: TestClient, root: Person, carl: Person, eve: Person
) -> None:
    body = {"name": "ops", "scope": "write"}
    made = client.post("/api/user/tokens", headers=root.headers, json=body).json()
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert client.post("/api/user/locale", headers=bearer, json={"locale": "en"}).status_code == 200
    path = f"/api/user/{carl.id}/role"
    answer = client.post(path, headers=bearer, json={"role": "distributor"})
    assert code_of(answer) == "access.not_by_token"
    revoke = f"/api/user/tokens/{made['about']['id']}/revoke"
    assert client.post(revoke, headers=eve.headers).status_code == 404
    assert client.post(revoke, headers=root.headers).status_code == 200
    assert client.get("/api/user/me", headers=bearer).status_code == 401
    listed = client.get("/api/user/tokens", headers=root.headers).json()["tokens"]
    assert listed[0]["revoked_at"] is not None
    assert "token" not in listed[0]


def test_nobody_has_endless_tokens(edge_of: EdgeOf, carl: Person) -> None:
    mine = edge_of(carl.actor)
    for number in range(tokens.MOST):
        mine(tokens.issue, name=f"t{number}", scope=TokenScope.READ, days=1)
    with pytest.raises(Exception, match="too_many_tokens"):
        mine(tokens.issue, name="one more", scope=TokenScope.READ, days=1)
    assert mine(tokens.revoke_all, user_id=carl.id) == tokens.MOST


def test_recovery_codes_are_renewed_and_hashed(
    client: TestClient, edge: Edge, carl: Person, enrol: Any
) -> None:
    app, old = enrol(carl)
    answer = client.post(
        "/api/user/second_factor/recovery_codes", headers=carl.headers, json={"code": app.next()}
    )
    new = answer.json()["recovery_codes"]
    assert not set(new) & set(old)
    hashes = edge.read(lambda work: work.session.scalars(select(RecoveryCode.code_hash)).all())
    assert not {code for code in new if code in hashes}
    assert code_of(log_in(client, carl, code=old[0])) == "access.wrong_second_factor"
    assert code_of(log_in(client, carl, code=new[0])) == "ok"
