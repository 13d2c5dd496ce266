"""The web application: the list of routers, and what surrounds them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool

from derpman.access import cookies, permissions
from derpman.access.doorkeeper import Doorkeeper
from derpman.access.errors import SessionEnded
from derpman.access.factor_routes import admin_router as factor_admin_router
from derpman.access.factor_routes import router as factor_router
from derpman.access.role_routes import router as role_router
from derpman.access.routes import router as access_router
from derpman.access.states import TokenScope
from derpman.acl.address_routes import router as acl_address_router
from derpman.acl.offers import Offers
from derpman.acl.routes import router as acl_router
from derpman.acl.usage_routes import router as acl_usage_router
from derpman.alerts.routes import router as alerts_router
from derpman.alerts.rule_routes import router as rules_router
from derpman.containers.routes import router as containers_router
from derpman.devices.link_routes import router as linked_router
from derpman.devices.routes import router as devices_router
from derpman.distribution.admin_routes import router as distributors_router
from derpman.distribution.routes import router as my_router
from derpman.finance.money_routes import router as money_router
from derpman.finance.order_routes import router as orders_router
from derpman.finance.routes import router as finance_router
from derpman.ha.routes import monitoring_router as load_router
from derpman.ha.routes import router as ha_router
from derpman.ha.routes import server_router as ha_server_router
from derpman.kit import broker, http, machines, memory, places, puzzles, requests, site
from derpman.kit.errors import OutOfScope
from derpman.kit.hot import Hot
from derpman.kit.live import Live
from derpman.kit.openapi import document_errors
from derpman.kit.work import NOBODY, Actor, Edge
from derpman.logs.routes import router as logs_router
from derpman.monitoring.routes import router as monitoring_router
from derpman.notifications.channel_routes import router as channels_router
from derpman.notifications.routes import router as notifications_router
from derpman.notifications.template_routes import router as templates_router
from derpman.pages.health import Readiness
from derpman.pages.metrics import Installation
from derpman.pages.operating_routes import router as operating_router
from derpman.pages.personal_routes import router as personal_router
from derpman.pages.routes import home_router, staff_router
from derpman.pages.schemas import OverviewOut
from derpman.pages.serial_routes import router as chain_router
from derpman.pages.settings_routes import router as settings_router
from derpman.pages.staff import FRESH_SECONDS
from derpman.rentals.acl_routes import router as acl_versions_router
from derpman.rentals.life_routes import router as life_router
from derpman.rentals.paying_routes import router as paying_router
from derpman.rentals.rotation_routes import router as acl_rotation_router
from derpman.rentals.routes import container_router as slots_router
from derpman.rentals.routes import router as rentals_router
from derpman.serials.routes import router as serials_router
from derpman.servers.routes import router as servers_router
from derpman.servers.upgrade_routes import router as upgrades_router
from derpman.tailnets.routes import router as tailnets_router
from derpman.traffic.routes import router as traffic_router
from derpman.users import managing
from derpman.users.errors import UserNotFound
from derpman.users.message_routes import router as messages_router
from derpman.users.routes import router as users_router
from derpman.wiring import System

ROUTERS: list[APIRouter] = [
    ha_router,
    ha_server_router,
    load_router,
    home_router,
    staff_router,
    settings_router,
    devices_router,
    linked_router,
    traffic_router,
    rentals_router,
    life_router,
    slots_router,
    tailnets_router,
    acl_versions_router,
    acl_router,
    acl_usage_router,
    acl_rotation_router,
    acl_address_router,
    serials_router,
    chain_router,
    containers_router,
    upgrades_router,
    servers_router,
    finance_router,
    orders_router,
    my_router,
    distributors_router,
    money_router,
    paying_router,
    users_router,
    access_router,
    factor_router,
    factor_admin_router,
    personal_router,
    role_router,
    monitoring_router,
    messages_router,
    notifications_router,
    templates_router,
    channels_router,
    alerts_router,
    rules_router,
    logs_router,
    operating_router,
]

DESCRIPTION = """Rent out private Tailscale DERP relays.

Every JSON answer has `success`. An error is
`{"success": false, "error": {"code", "message", "params"}}`: translate by `code`.
Send the token of `POST /api/user/login` as `Authorization: Bearer …`."""


def every_route() -> Iterator[tuple[frozenset[str], str, http.Rule | None]]:
    """Every route's methods, its address, and who may call it."""
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                yield frozenset(route.methods or ()), route.path, http.rule_of(route)


class Gate:
    """Finds out who asks, and makes his edge."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.trusted_proxies: Sequence[str] = system.settings.trusted_proxies
        self.declared = {(one.method, one.path): one for one in permissions.declare(every_route())}
        self.doorkeeper = Doorkeeper(system.edge(), session_days=system.settings.session_days)

    def permission_of(self, request: Request) -> str | None:
        return self._declared(request).permission

    def check_scope(self, request: Request, actor: Actor) -> None:
        declared = self._declared(request)
        if not declared.is_within_own:
            raise OutOfScope
        user_id = request.path_params.get("user_id")
        if declared.permission is None or user_id is None:
            return
        read = self.system.edge(actor).read
        if not read(managing.looks_after, admin_id=actor.user_id or 0, user_id=str(user_id)):
            raise UserNotFound

    def _declared(self, request: Request) -> permissions.Declared:
        return self.declared[request.method, request.scope["route"].path]

    def is_fresh(self, actor: Actor) -> bool:
        if actor.proved_at is None:
            return False
        age = self.system.clock() - actor.proved_at
        return age.total_seconds() < self.system.guards.proof_seconds

    def actor_of(self, request: Request, ip: str, *, look_again: bool = False) -> Actor:
        visitor = replace(
            NOBODY,
            ip=ip[:45],
            user_agent=request.headers.get("user-agent", "")[:512],
            machine=machines.machine_of(request.headers, request.cookies, self.system.vault),
            work=request.headers.get(puzzles.HEADER, "")[:200],
        )
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if is_bearer := scheme.lower() == "bearer":
            cookie = None
        else:
            cookie = cookies.token_of(request, is_https=self.system.guards.is_https)
            if cookie is None:
                return visitor
        identity = self.doorkeeper.identity_of(cookie or token.strip(), look_again=look_again)
        if identity is None:
            if is_bearer:
                raise SessionEnded
            return visitor  # else nobody with an old cookie could log in again
        return replace(
            visitor,
            role=identity.role,
            user_id=identity.user_id,
            name=identity.username,
            session_id=identity.session_id,
            proved_at=identity.proved_at,
            is_program=identity.scope is not None,
            may_only_read=identity.scope is TokenScope.READ,
            permissions=identity.permissions,
            has_own_only=identity.has_own_only,
            must_enrol=not identity.has_second_factor
            and identity.role in self.system.guards.second_factor_for,
        )

    def still_may(self, requests: Sequence[Request]) -> list[bool]:
        """Tell of each request whether the log-in that it came with still holds."""
        tokens = [self._token_of(request) for request in requests]
        holding = self.doorkeeper.holding({token for token in tokens if token})
        return [token in holding for token in tokens]

    def _token_of(self, request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
        return cookies.token_of(request, is_https=self.system.guards.is_https) or ""

    def edge(self, actor: Actor) -> Edge:
        return self.system.edge(actor)


def create_app(system: System) -> FastAPI:
    """Return the application of one installation."""
    gate = Gate(system)
    live = Live(gate.still_may)

    def heard(topic: str) -> None:
        live.nudge(topic)
        gate.doorkeeper.heard(topic)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        await run_in_threadpool(places.place_of, "1.1.1.1")  # else the first caller waits for it
        memory.give_back()  # 10 MB that starting took
        unlisten = system.wake.listen(heard)
        yield
        unlisten()

    app = FastAPIOffline(
        title="DERP Management",
        description=DESCRIPTION,
        version="0.1.0",
        lifespan=lifespan,
    )
    app.state.gate = gate
    app.state.guards = system.guards
    app.state.system = system
    app.state.offers = Offers(system.edge(), grace=timedelta(days=system.settings.acl_grace_days))
    app.state.live = live
    _install_operating(app, system)
    http.install_errors(app)
    for router in ROUTERS:
        app.include_router(router)
    document_errors(app)
    if (pages := site.find(system.settings.web_dir)) is not None:
        app.add_middleware(site.Site, folder=pages)
    return app


def _install_operating(app: FastAPI, system: System) -> None:
    """Give the application what `/readyz` and `/metrics` tell."""
    settings = system.settings
    redis_url = None if settings.redis_url is None else settings.redis_url.get_secret_value()
    app.state.readiness = Readiness(system.engine, redis_url)
    app.state.metrics_token = settings.metrics_token
    app.state.figures = Hot("overview", OverviewOut, seconds=FRESH_SECONDS, redis_url=redis_url)
    registry = app.state.registry = requests.new_registry()
    registry.register(Installation(system.edge(), broker.depth_of(redis_url, settings.data_dir)))
    app.add_middleware(requests.RequestMeter, registry=registry)
