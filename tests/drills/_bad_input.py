"""Requests that must be refused, each with the status and the stable code of the refusal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

NODE_KEY = "nodekey:" + "5a" * 32
BIG = 2 * 1024 * 1024
NESTED = b'{"name": ' + b"[" * 40_000 + b"]" * 40_000 + b"}"


@dataclass(frozen=True)
class Bad:
    """One request and the answer it must get."""

    what: str
    role: str
    method: str
    path: str
    status: int
    code: str
    body: Any = None
    raw: bytes | None = None
    media_type: str = "application/json"

    def content(self) -> bytes | None:
        if self.raw is not None:
            return self.raw
        return None if self.body is None else json.dumps(self.body).encode()


def _device(what: str, code: str = "request.invalid", /, **values: Any) -> Bad:
    body = {"node_key": NODE_KEY, "name": "laptop"} | values
    return Bad(what, "customer", "POST", "/api/security/devices", 422, code, body)


def _register(what: str, code: str = "request.invalid", /, **values: Any) -> Bad:
    body = {"username": "newman", "email": "newman@example.com", "password": "a long pass phrase"}
    return Bad(what, "nobody", "POST", "/api/user/register", 422, code, body | values)


def _raw(
    what: str, raw: bytes, status: int, code: str, media_type: str = "application/json"
) -> Bad:
    return Bad(
        what,
        "customer",
        "POST",
        "/api/user/locale",
        status,
        code,
        raw=raw,
        media_type=media_type,
    )


def cases(serial: str) -> list[Bad]:
    """The table; `serial` is a real one, of which one character is mistyped here."""
    mistyped = serial[:-1] + ("A" if serial[-1] != "A" else "B")
    user, admin = "customer", "admin"
    activate = "/api/user/activate"
    return [
        # JSON that is none, too large, too deep, of another type
        _raw("no JSON at all", b"{", 422, "request.invalid"),
        _raw("bytes that are no UTF-8", b'{"locale": "\xff\xfe"}', 400, "request.malformed"),
        _raw("half of a surrogate pair", b'{"locale": "\\ud800"}', 422, "request.invalid"),
        _raw("a list instead of an object", b'["en"]', 422, "request.invalid"),
        _raw("null", b"null", 422, "request.invalid"),
        _raw("nothing", b"", 422, "request.invalid"),
        _raw(
            "a number of 5,000 digits",
            b'{"locale": ' + b"9" * 5000 + b"}",
            400,
            "request.malformed",
        ),
        _raw("not a number", b'{"locale": NaN}', 422, "request.invalid"),
        _raw("a form", b"locale=en", 422, "request.invalid", "application/x-www-form-urlencoded"),
        _raw("a huge body", b'{"locale": "' + b"x" * BIG + b'"}', 413, "request.too_large"),
        _raw("40,000 lists in one another", NESTED, 400, "request.malformed"),
        _raw("an unknown field", b'{"locale": "en", "loca1e": "en"}', 422, "request.invalid"),
        Bad(
            "a method that is not there",
            user,
            "DELETE",
            "/api/user/me",
            405,
            "request.method_not_allowed",
        ),
        Bad("a page that is not there", user, "GET", "/api/user/me/../x", 404, "not_found"),
        # wrong types and numbers
        Bad("a word for an id", admin, "GET", "/api/user/one", 404, "not_found"),
        Bad("id 0", admin, "GET", "/api/user/0", 422, "request.invalid"),
        Bad(
            "an id beyond 64 bits",
            admin,
            "GET",
            "/api/user/9223372036854775808",
            422,
            "request.invalid",
        ),
        Bad("an id of 5,000 digits", admin, "GET", "/api/user/" + "9" * 5000, 404, "not_found"),
        Bad("a page of 201 rows", admin, "GET", "/api/user/list?limit=201", 422, "request.invalid"),
        Bad("an unknown filter", admin, "GET", "/api/user/list?nmae=x", 422, "request.invalid"),
        Bad(
            "a count as a list",
            admin,
            "POST",
            "/api/serial/generate",
            422,
            "request.invalid",
            {"duration_days": 30, "count": [1]},
        ),
        Bad(
            "true for a number of days",
            admin,
            "POST",
            "/api/serial/generate",
            422,
            "request.invalid",
            {"duration_days": "30 days", "count": 1},
        ),
        Bad(
            "10,001 serials",
            admin,
            "POST",
            "/api/serial/generate",
            422,
            "request.invalid",
            {"duration_days": 30, "count": 10_001},
        ),
        Bad(
            "a role that is none",
            "super_admin",
            "POST",
            "/api/user/1/role",
            422,
            "request.invalid",
            {"role": "emperor"},
        ),
        # keys and serials
        _device("a machine key", "devices.not_a_node_key", node_key="mkey:" + "5a" * 32),
        _device("a disco key", "devices.not_a_node_key", node_key="discokey:" + "5a" * 32),
        _device("a private key", "devices.not_a_node_key", node_key="privkey:" + "5a" * 32),
        _device("a key too short", "devices.not_a_node_key", node_key="nodekey:5a5a"),
        _device("a key of zeroes", "devices.not_a_node_key", node_key="nodekey:" + "00" * 32),
        _device(
            "a key in full-width digits", "devices.not_a_node_key", node_key="nodekey:" + "５" * 64
        ),
        _device("a key that is a number", node_key=5),
        Bad(
            "a mistyped serial",
            "newcomer",
            "POST",
            activate,
            422,
            "serial.mistyped",
            {"code": mistyped},
        ),
        Bad(
            "a serial in Cyrillic",
            "newcomer",
            "POST",
            activate,
            422,
            "serial.mistyped",
            {"code": "АВСЕ" * 5},
        ),
        Bad("an empty serial", user, "POST", activate, 422, "request.invalid", {"code": ""}),
        # names that are not what they seem
        _device("a name with a line break", name="lap\ntop"),
        _device("a name with a NUL", name="lap\x00top"),
        _device("a name of blanks", name=" \u3000 "),
        _device("a name with an override of direction", name="lap\u202etop"),
        _device("a name that nobody sees", name="\u200b\u200b"),
        _device("a name of 65 characters", name="x" * 65),
        _register("a user's name in two scripts", "users.username_refused", username="аdmin"),
        _register(
            "a user's name that nobody sees", "users.username_refused", username="root\u200b"
        ),
        _register("a user's name turned around", "users.username_refused", username="\u202enimda"),
        _register("an address that is none", "users.email_refused", email="newman@@example.com"),
        _register(
            "an address with a line break",
            "users.email_refused",
            email="newman@example.com\nBcc: a@b.example",
        ),
        _register("a short password", "users.password_refused", password="short"),
        # who may not
        Bad("nobody's own page", "nobody", "GET", "/api/user/me", 401, "auth.required"),
        Bad(
            "a stream for nobody", "nobody", "GET", "/api/user/rental/events", 401, "auth.required"
        ),
        Bad("a customer among the users", user, "GET", "/api/user/list", 403, "auth.forbidden"),
        Bad(
            "a customer makes serials",
            user,
            "POST",
            "/api/serial/generate",
            403,
            "auth.forbidden",
            {"duration_days": 30},
        ),
        Bad(
            "an admin makes a super admin",
            admin,
            "POST",
            "/api/user/1/role",
            403,
            "auth.forbidden",
            {"role": "super_admin"},
        ),
    ]
