"""The document says what every route may answer, and which of them want a token."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import PlainTextResponse

from derpman.kit.http import RunPublic, RunUser
from derpman.kit.openapi import document_errors


@pytest.fixture
def document() -> dict[str, Any]:
    app = FastAPI()

    @app.get("/mine/{thing}")
    def mine(run: RunUser, thing: int) -> None: ...

    @app.get(
        "/open",
        response_class=PlainTextResponse,
        responses={503: {"content": {"text/plain": {}}, "description": "in words"}},
    )
    def open_(run: RunPublic) -> None: ...

    document_errors(app)
    assert app.openapi() == app.openapi()
    return app.openapi()


def test_every_error_is_named_in_our_shape(document: dict[str, Any]) -> None:
    responses = document["paths"]["/mine/{thing}"]["get"]["responses"]
    assert set(responses) == {"200", "400", "401", "403", "404", "409", "413", "422", "429", "503"}
    shape = {"$ref": "#/components/schemas/ErrorOut"}
    assert responses["422"]["content"]["application/json"]["schema"] == shape
    assert "Retry-After" in responses["429"]["headers"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_what_a_route_says_itself_wins(document: dict[str, Any]) -> None:
    responses = document["paths"]["/open"]["get"]["responses"]
    assert responses["503"] == {"content": {"text/plain": {}}, "description": "in words"}


def test_only_routes_of_members_want_a_token(document: dict[str, Any]) -> None:
    assert document["paths"]["/mine/{thing}"]["get"]["security"] == [{"HTTPBearer": []}]
    assert "security" not in document["paths"]["/open"]["get"]
