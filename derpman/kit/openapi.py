"""What the OpenAPI document says beyond the routes: the errors that all of them share."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel

METHODS = ("get", "post", "put", "patch", "delete")
ERRORS = {
    "400": "What was sent is not HTTP or JSON that can be read.",
    "401": "Nobody is logged in, or the log-in ended.",
    "403": "The caller may not do this.",
    "404": "There is no such thing for the caller.",
    "409": "A rule, a state or a newer version says no.",
    "413": "The request is too large.",
    "422": "A value is not acceptable.",
    "429": "Too often; `Retry-After` says when to come back.",
    "503": "Overloaded, or a part is away; `Retry-After` says when to come back.",
}
RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}


class ErrorPart(BaseModel):
    """What went wrong: `code` is stable, `message` is English, `params` fill translations in."""

    code: str
    message: str
    params: dict[str, Any]


class ErrorOut(BaseModel):
    """The one shape of every error."""

    success: Literal[False]
    error: ErrorPart


def document_errors(app: FastAPI) -> None:
    """Have the application's document name the errors that any route may answer with."""
    framework = app.openapi

    def openapi() -> dict[str, Any]:
        document = framework()
        if "ErrorOut" not in document.setdefault("components", {}).setdefault("schemas", {}):
            _add_errors(document)
        return document

    app.openapi = openapi


def _add_errors(document: dict[str, Any]) -> None:
    schemas: dict[str, Any] = document["components"]["schemas"]
    shape = ErrorOut.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= shape.pop("$defs") | {"ErrorOut": shape}
    for name in ("HTTPValidationError", "ValidationError"):  # the framework's own shape, unused
        schemas.pop(name, None)
    for operations in document["paths"].values():
        for method in METHODS:
            if method in operations:
                responses: dict[str, Any] = operations[method]["responses"]
                responses.pop("422", None)
                operations[method]["responses"] = _errors() | responses


def _errors() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorOut"}}}
    return {
        status: {
            "description": words,
            "content": content,
            **({"headers": RETRY_AFTER} if status in {"429", "503"} else {}),
        }
        for status, words in ERRORS.items()
    }
