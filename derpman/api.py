"""The web application: the list of routers, and what surrounds them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from fastapi_offline import FastAPIOffline

from derpman.kit import http
from derpman.kit.live import Live
from derpman.kit.work import NOBODY, Actor, Edge
from derpman.settings import Settings
from derpman.wiring import System, assemble

ROUTERS: list[APIRouter] = []

DESCRIPTION = """Rent out private Tailscale DERP relays.

Every JSON answer has `success`. An error is
`{"success": false, "error": {"code", "message", "params"}}`: translate by `code`.
Send the token of `POST /api/user/login` as `Authorization: Bearer …`."""


class Gate:
    """Finds out who asks, and makes his edge."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.trusted_proxies: Sequence[str] = system.settings.trusted_proxies

    def actor_of(self, request: Request, ip: str) -> Actor:
        return NOBODY

    def edge(self, actor: Actor) -> Edge:
        return self.system.edge(actor)


def create_app(system: System) -> FastAPI:
    """Return the application of one installation."""
    live = Live()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        unlisten = system.wake.listen(live.nudge)
        yield
        unlisten()

    app = FastAPIOffline(
        title="DERP Management",
        description=DESCRIPTION,
        version="0.1.0",
        lifespan=lifespan,
    )
    app.state.gate = Gate(system)
    app.state.system = system
    app.state.live = live
    http.install_errors(app)
    for router in ROUTERS:
        app.include_router(router)
    return app


def app_of_process() -> FastAPI:
    """Return the application for this process, from its environment."""
    return create_app(assemble(Settings()))
