"""What this process answered, for Prometheus: how often, with which status, after how long."""

from __future__ import annotations

import time

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)
NO_ROUTE = "none"
"""Addresses that no route has are one: a stranger cannot make names."""


def new_registry() -> CollectorRegistry:
    """Return a registry with what is true of the process: memory, processor, open files."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class RequestMeter:
    """Counts requests by route, and until the answer began: a stream of events is no slow one."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._answers = Counter(
            "derpman_http_requests",
            "requests that were answered, by this process",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "derpman_http_request_seconds",
            "seconds until an answer began",
            ("route",),
            buckets=BUCKETS,
            registry=registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def metered(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", NO_ROUTE)
                self._seconds.labels(route).observe(time.perf_counter() - began)
                self._answers.labels(_method(scope), route, str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, metered)


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") else "other"
