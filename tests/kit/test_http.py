"""The edge of HTTP: whose address counts, and what every error looks like."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.testclient import TestClient

from derpman.kit.errors import Conflict, NotFound, TooMany, Unauthenticated, Unavailable
from derpman.kit.http import MAX_BODY_BYTES, client_address, install_errors
from derpman.kit.types import Body, IdValue, Line


def request(socket: str, *forwarded: str) -> Request:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return Request({"type": "http", "client": (socket, 1), "headers": headers})


@pytest.mark.parametrize(
    ("socket", "header", "proxies", "address"),
    [
        ("198.51.100.1", "203.0.113.9", [], "198.51.100.1"),
        ("198.51.100.1", "203.0.113.9", ["10.0.0.0/8"], "198.51.100.1"),
        ("10.0.0.1", "203.0.113.9", ["10.0.0.0/8"], "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.9", ["10.0.0.0/8"], "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", ["10.0.0.0/8"], "203.0.113.9"),
        ("10.0.0.1", "nonsense", ["10.0.0.0/8"], "10.0.0.1"),
        ("10.0.0.1", "", ["10.0.0.0/8"], "10.0.0.1"),
        ("::1", "2001:db8::7", ["::1"], "2001:db8::7"),
    ],
)
def test_forwarded_address_counts_only_from_a_trusted_proxy(
    socket: str, header: str, proxies: list[str], address: str
) -> None:
    assert client_address(request(socket, header), proxies) == address


class Thing(Body):
    id: IdValue
    name: Line


@pytest.fixture
def web() -> TestClient:
    app = FastAPI()
    install_errors(app)
    errors: dict[str, Exception] = {
        "none": NotFound(),
        "clash": Conflict(),
        "who": Unauthenticated(),
        "often": TooMany(retry_after_seconds=42),
        "busy": Unavailable(),
        "bug": RuntimeError("a secret"),
    }

    @app.get("/fail/{kind}")
    def fail(kind: str) -> None:
        raise errors[kind]

    @app.post("/thing")
    def thing(body: Thing) -> dict[str, Any]:
        return {"success": True, "name": body.name}

    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("none", 404, "not_found"),
        ("clash", 409, "conflict"),
        ("who", 401, "auth.required"),
        ("often", 429, "too_many"),
        ("busy", 503, "unavailable"),
        ("bug", 500, "internal"),
    ],
)
def test_each_family_has_its_status(web: TestClient, kind: str, status: int, code: str) -> None:
    answer = web.get(f"/fail/{kind}")
    assert answer.status_code == status
    body = answer.json()
    assert body["success"] is False
    assert body["error"]["code"] == code
    assert "secret" not in answer.text


def test_too_many_says_when_to_come_back(web: TestClient) -> None:
    assert web.get("/fail/often").headers["Retry-After"] == "42"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"id": 1}',
        b'{"id": 1, "name": "x", "more": 1}',
        b'{"id": 0, "name": "x"}',
        b'{"id": 9223372036854775808, "name": "x"}',
        b'{"id": ' + b"9" * 5000 + b', "name": "x"}',
        b'{"id": 1, "name": ""}',
        b'{"id": 1, "name": "a\\u0000b"}',
        b'{"id": 1, "name": "\\ud800"}',
        b'{"id": 1, "name": "a\\nb"}',
        b'{"id": NaN, "name": "x"}',
        b'{"id": 1, "name": "\xff\xfe"}',
        b'{"id": 1, "name": "' + b"x" * 201 + b'"}',
        b"[" * 100_000,
        b'{"id": 1, "name": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
)
def test_bad_bodies_are_the_callers_fault(web: TestClient, body: bytes) -> None:
    answer = web.post("/thing", content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["success"] is False


@pytest.mark.parametrize("chunked", [False, True])
def test_huge_body_is_refused(web: TestClient, chunked: bool) -> None:
    body = b'{"id": 1, "name": "' + b"x" * (MAX_BODY_BYTES + 1) + b'"}'
    content = iter([body[:1000], body[1000:]]) if chunked else body
    answer = web.post("/thing", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request.too_large"


def test_chinese_names_pass(web: TestClient) -> None:
    assert web.post("/thing", json={"id": 1, "name": " 北京 "}).json()["name"] == "北京"


def test_unknown_path_and_method_have_our_shape(web: TestClient) -> None:
    assert web.get("/nowhere").json()["error"]["code"] == "not_found"
    assert web.put("/thing").json()["error"]["code"] == "request.method_not_allowed"
