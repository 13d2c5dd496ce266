"""The secret addresses themselves, as headscale fetches them."""

from __future__ import annotations

import structlog
from fastapi import APIRouter, Request, Response

from derpman.acl.offers import Offers
from derpman.kit.errors import NotFound
from derpman.kit.http import RunPublic

router = APIRouter(tags=["acl"])
log = structlog.get_logger(__name__)


@router.get(
    "/derp/{token}.json",
    response_class=Response,
    responses={
        200: {
            "content": {"application/json": {}},
            "description": "The derpMap, without a wrapper.",
        },
        304: {"description": "It is still what `If-None-Match` names."},
        503: {"content": {"text/plain": {}}, "description": "Try again; in words, see below."},
    },
)
def fetch(request: Request, run: RunPublic, token: str) -> Response:
    """The derpMap of a secret address, for `derp.urls` of headscale."""
    offers: Offers = request.app.state.offers
    try:
        offer = offers.ask(run, token)
    except Exception as error:  # noqa: BLE001 # any answer of ours in JSON would be taken for a map
        # headscale (hscontrol/derp/derp.go) looks at no status: what parses as JSON is its new
        # map. Our trouble must not take its relays away, so it is told in words.
        log.warning("address not answered", error=type(error).__name__)
        return Response(
            "Try again in a moment.\n",
            503,
            {"Retry-After": "2", "Cache-Control": "no-store"},
            "text/plain",
        )
    if offer is None:  # unknown, revoked or over: one answer; to headscale a map without regions
        raise NotFound
    headers = {"ETag": offer.etag, "Cache-Control": "no-cache"}
    if is_named(request.headers.get("if-none-match", ""), offer.etag):
        return Response(status_code=304, headers=headers)
    return Response(offer.body, media_type="application/json", headers=headers)


def is_named(header: str, etag: str) -> bool:
    """Say whether an If-None-Match header names this entity tag (RFC 9110, 13.1.2)."""
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return etag in tags or "*" in tags
