"""HTTP meets the domain here: who asks, which status an error has, one transaction a request."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated, Any, Protocol

import structlog
from fastapi import Depends, FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from derpman.kit.errors import (
    Conflict,
    DomainError,
    Forbidden,
    Invalid,
    NoPermission,
    NotByToken,
    NotFound,
    ProofNeeded,
    SecondFactorRequired,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from derpman.kit.guards import Guards
from derpman.kit.work import Actor, Edge, Role

log = structlog.get_logger(__name__)


class IdConvertor(Convertor[str]):
    """An id in a path, as in `/{user_id:id}`: a word such as `list` is another route's.

    Starlette's own `int` raises on a number of thousands of digits.
    """

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> str:
        return value  # the route's own type checks and converts it

    def to_string(self, value: str) -> str:
        return str(value)


register_url_convertor("id", IdConvertor())

STATUS: list[tuple[type[DomainError], int]] = [
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Invalid, 422),
    (TooMany, 429),
    (Unavailable, 503),
]
MAX_BODY_BYTES = 1_048_576
BEARER = HTTPBearer(auto_error=False, description="The token of `POST /api/user/login`.")


class Gate(Protocol):
    """What the application puts behind the edge: finds the actor and makes his edge."""

    trusted_proxies: Sequence[str]

    def actor_of(self, request: Request, ip: str, *, look_again: bool = False) -> Actor:
        """Return who asks; NOBODY without proof; Unauthenticated when the proof is void.

        `look_again` asks the database, and not what is remembered for a moment.
        """
        ...

    def permission_of(self, request: Request) -> str | None:
        """Return what an admin's role must have for the route of a request."""
        ...

    def check_scope(self, request: Request, actor: Actor) -> None:
        """Raise when a request is about somebody whom the actor does not look after."""
        ...

    def is_fresh(self, actor: Actor) -> bool:
        """Tell whether he has shown lately that it is he."""
        ...

    def edge(self, actor: Actor) -> Edge:
        """Return an edge that acts for him."""
        ...


def gate_of(request: Request) -> Gate:
    """Return the application's gate."""
    return request.app.state.gate


@lru_cache(maxsize=64)
def _networks(proxies: tuple[str, ...]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(proxy, strict=False) for proxy in proxies]


def client_address(request: Request, trusted_proxies: Sequence[str]) -> str:
    """Return the client's address: the socket's, unless that is a proxy listed as trusted.

    From a trusted proxy the right-most forwarded address that is not itself a trusted proxy
    counts; what a client writes further left is never believed.
    """
    address = request.client.host if request.client else ""
    networks = _networks(tuple(trusted_proxies))
    if not networks:
        return address
    hops = [hop.strip() for hop in request.headers.get("x-forwarded-for", "").split(",")]
    for hop in reversed([hop for hop in hops if hop]):
        if not _is_in(address, networks) or _parse(hop) is None:
            break
        address = hop
    return address


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None


def _is_in(address: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in networks)


@dataclass(frozen=True)
class Rule:
    """Who may call a route; stands on its dependency, where `routes.rules` finds it."""

    roles: frozenset[Role]
    is_own: bool = False
    """For people about their own account: not by an API token, also before they enrol."""
    is_fresh: bool = False
    """Only by who has shown lately that it is he."""

    def check(
        self,
        actor: Actor,
        method: str,
        *,
        permission: str | None,
        is_fresh: Callable[[Actor], bool],
    ) -> None:
        """Raise what keeps this actor from calling, if anything does.

        `permission` is what an admin's role must have for the route.
        """
        if actor.role not in self.roles:
            raise Unauthenticated if actor.role is Role.NOBODY else Forbidden
        if actor.role is Role.NOBODY or actor.role is Role.SYSTEM:
            return
        is_reading = method in {"GET", "HEAD"}
        if actor.is_program and (
            self.is_own or self.is_fresh or (actor.may_only_read and not is_reading)
        ):
            raise NotByToken
        if actor.must_enrol and not self.is_own and Role.NOBODY not in self.roles:
            raise SecondFactorRequired
        if (
            permission is not None
            and actor.permissions is not None
            and permission not in actor.permissions
        ):
            raise NoPermission(permission=permission)
        if self.is_fresh and not is_fresh(actor):
            raise ProofNeeded


def allow(*roles: Role, own: bool = False, fresh: bool = False) -> Callable[..., Edge]:
    """Return the dependency of a route that only these roles may call, by its rule."""
    rule = Rule(frozenset(roles), own, fresh)

    def edge_of_request(request: Request) -> Edge:
        gate = gate_of(request)
        address = client_address(request, gate.trusted_proxies)
        actor = gate.actor_of(request, address)
        check = partial(rule.check, permission=gate.permission_of(request), is_fresh=gate.is_fresh)
        try:
            check(actor, request.method)
        except Forbidden:
            # What is remembered may be older than what he did a moment ago, in another process.
            actor = gate.actor_of(request, address, look_again=True)
            check(actor, request.method)
        if actor.has_own_only:
            gate.check_scope(request, actor)
        return gate.edge(actor)

    def edge_of_member(request: Request, _shown: Annotated[object, Security(BEARER)]) -> Edge:
        return edge_of_request(request)  # the parameter is for the OpenAPI document only

    edge_of = edge_of_request if Role.NOBODY in rule.roles else edge_of_member
    edge_of.rule = rule  # type: ignore[attr-defined] # pyright: ignore[reportFunctionMemberAccess]
    return edge_of


def rule_of(route: APIRoute) -> Rule | None:
    """Return who may call a route: the rule of its edge, None when it has no edge."""
    waiting = list(route.dependant.dependencies)
    while waiting:
        dependency = waiting.pop()
        rule = getattr(dependency.call, "rule", None)
        if isinstance(rule, Rule):
            return rule
        waiting += dependency.dependencies
    return None


EVERYBODY = (Role.NOBODY, Role.USER, Role.DISTRIBUTOR, Role.ADMIN, Role.SUPER_ADMIN)
RunPublic = Annotated[Edge, Depends(allow(*EVERYBODY))]
"""For visitors too."""
RunUser = Annotated[Edge, Depends(allow(*EVERYBODY[1:]))]
"""For whoever is logged in; the verb sees to it that he gets what is his."""
RunSelf = Annotated[Edge, Depends(allow(*EVERYBODY[1:], own=True))]
"""For whoever is logged in himself, about his own log-ins: no API token, no second factor yet."""
RunSelfFresh = Annotated[Edge, Depends(allow(*EVERYBODY[1:], own=True, fresh=True))]
RunDistributor = Annotated[Edge, Depends(allow(Role.DISTRIBUTOR))]
"""For distributors, about what is theirs."""
RunAdmin = Annotated[Edge, Depends(allow(Role.ADMIN, Role.SUPER_ADMIN))]
RunAdminFresh = Annotated[Edge, Depends(allow(Role.ADMIN, Role.SUPER_ADMIN, fresh=True))]
"""For an admin who has shown lately that it is he: for what hurts."""
RunSuperAdmin = Annotated[Edge, Depends(allow(Role.SUPER_ADMIN))]
RunSuperAdminFresh = Annotated[Edge, Depends(allow(Role.SUPER_ADMIN, fresh=True))]


def guards_of(request: Request) -> Guards:
    """Return what stands before the doors that are open to visitors."""
    return request.app.state.guards


Guarded = Annotated[Guards, Depends(guards_of)]


def error_body(code: str, message: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the one shape that every error of the API has."""
    return {"success": False, "error": {"code": code, "message": message, "params": params}}


def _domain_error(_request: Request, error: DomainError) -> JSONResponse:
    status = next(status for family, status in STATUS if isinstance(error, family))
    headers: dict[str, str] = {}
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, Unavailable):
        headers["Retry-After"] = "2"
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error_body(error.code, error.message, error.params), status, headers)


def _invalid_request(_request: Request, error: RequestValidationError) -> JSONResponse:
    fields = [
        {
            "field": ".".join(str(part)[:100] for part in item["loc"][:10]),
            "reason": str(item["type"]),
            "message": str(item["msg"])[:300],
        }
        for item in error.errors()[:20]
    ]
    text = "Some values of the request are not acceptable; see params.fields."
    return JSONResponse(error_body("request.invalid", text, {"fields": fields}), 422)


def _http_error(_request: Request, error: HTTPException) -> JSONResponse:
    codes = {
        400: "request.malformed",
        404: "not_found",
        405: "request.method_not_allowed",
    }
    code = codes.get(error.status_code, f"http.{error.status_code}")
    return JSONResponse(error_body(code, str(error.detail), {}), error.status_code, error.headers)


def _too_deep(_request: Request, _error: Exception) -> JSONResponse:
    text = "The request is nested too deeply."
    return JSONResponse(error_body("request.malformed", text, {}), 400)


def _bug(request: Request, error: Exception) -> JSONResponse:
    log.error("unhandled error", path=request.url.path, exc_info=error)
    text = "This is our fault, not yours. It has been recorded."
    return JSONResponse(error_body("internal", text, {}), 500)


class TooLargeInOurShape:
    """Gives the framework's own plain 413 the shape of every other error."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        replaced = False

        async def send_ours(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and message["status"] == 413:
                replaced = True
                text = f"The request is larger than {MAX_BODY_BYTES} bytes."
                body = error_body("request.too_large", text, {"limit_bytes": MAX_BODY_BYTES})
                await JSONResponse(body, 413)(scope, receive, send)
            elif not replaced:
                await send(message)

        await self._app(scope, receive, send_ours)


def install_errors(app: FastAPI) -> None:
    """Give an application our error answers, and the limit on what it reads."""
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=MAX_BODY_BYTES)
    app.add_middleware(TooLargeInOurShape)
    app.exception_handler(DomainError)(_domain_error)
    app.exception_handler(RequestValidationError)(_invalid_request)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(RecursionError)(_too_deep)
    app.exception_handler(Exception)(_bug)
