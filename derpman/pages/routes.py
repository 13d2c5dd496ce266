"""HTTP of pages that show something of everything, and the one live stream of each."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from derpman.kit.errors import Unavailable
from derpman.kit.http import RunAdmin, RunUser
from derpman.kit.live import EVENTS, Live
from derpman.kit.paging import PageQuery
from derpman.pages import customer
from derpman.pages.schemas import HomeOut, LatencyOut, NoticesOut, OverviewOut
from derpman.pages.staff import Figures, overview

home_router = APIRouter(prefix="/api/user", tags=["user"])
staff_router = APIRouter(prefix="/api/admin", tags=["admin"])


@home_router.get("/home")
def show_home(run: RunUser) -> HomeOut:
    """The caller's rental, relays, devices and traffic."""
    return run.read(customer.home, user_id=run.actor.user_id or 0)


@home_router.get("/latency")
def show_latency(run: RunUser) -> LatencyOut:
    """How far the caller's relays are, in milliseconds: now, and by the hour over a day."""
    return run.read(customer.latency, user_id=run.actor.user_id or 0)


@home_router.get("/notices")
def list_notices(run: RunUser, query: Annotated[PageQuery, Query()]) -> NoticesOut:
    """What the caller was told by mail, newest first, but for codes he asked for."""
    return run.read(customer.notices, user_id=run.actor.user_id or 0, **query.model_dump())


@home_router.get("/live", response_class=StreamingResponse, responses=EVENTS)
def watch_home(request: Request, run: RunUser) -> StreamingResponse:
    """The same as a stream of server-sent events: all that his pages show live."""
    user_id = run.actor.user_id or 0

    def fetch() -> dict[str, Any]:
        return run.read(customer.home, user_id=user_id).model_dump(mode="json")

    return _live(request).stream(request, f"home:{user_id}", fetch)


@staff_router.get("/overview")
def show_overview(request: Request, run: RunAdmin) -> OverviewOut:
    """Servers, relays, users, alerts and traffic in figures at most some seconds old."""
    return _figures(request).get(lambda: run.read(overview))


@staff_router.get("/live", response_class=StreamingResponse, responses=EVENTS)
def watch_overview(request: Request, run: RunAdmin) -> StreamingResponse:
    """The same as a stream of server-sent events."""
    figures = _figures(request)

    def fetch() -> dict[str, Any]:
        return figures.get(lambda: run.read(overview)).model_dump(mode="json")

    return _live(request).stream(request, "overview", fetch)


def _live(request: Request) -> Live:
    live: Live = request.app.state.live
    if live.is_full:
        raise Unavailable
    return live


def _figures(request: Request) -> Figures:
    figures: Figures = request.app.state.figures
    return figures
