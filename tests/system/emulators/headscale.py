"""An emulator of headscale's API (0.26 and newer): the list of nodes, by an API key.

Shapes as in https://github.com/juanfont/headscale/blob/main/gen/openapiv2/headscale/v1/headscale.swagger.json
(64-bit numbers are texts), refusals as in `httpAuthenticationMiddleware` of its hscontrol/app.go.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from tests.system.emulators.api_server import ApiServer, Reply, Request
from tests.system.emulators.tailscale import key_of


@dataclass
class Headscale(ApiServer):
    """One headscale with one API key; everything may be changed while it answers."""

    key: str = "hskey.emulated0123456789abcdef"
    status_of_bad_keys: int = 401
    """500 before 0.27, when the key cannot be looked up."""
    nodes: list[dict[str, Any]] = field(default_factory=list)

    def add_node(self, name: str, user: str = "carl", **fields: Any) -> dict[str, Any]:
        """Let a node in, as the API lists it."""
        number = len(self.nodes) + 1
        node = {
            "id": str(number),
            "machineKey": f"mkey:{hashlib.sha256(name.encode()).hexdigest()}",
            "nodeKey": key_of(name),
            "discoKey": f"discokey:{hashlib.sha256(name[::-1].encode()).hexdigest()}",
            "ipAddresses": [f"100.64.0.{number}", f"fd7a:115c:a1e0::{number}"],
            "name": name,
            "user": {"id": "1", "name": user, "displayName": "", "email": ""},
            "lastSeen": "2026-03-01T07:59:00Z",
            "expiry": "0001-01-01T00:00:00Z",
            "preAuthKey": None,
            "createdAt": "2026-01-05T17:10:27Z",
            "registerMethod": "REGISTER_METHOD_AUTH_KEY",
            "forcedTags": [],
            "invalidTags": [],
            "validTags": [],
            "givenName": name,
            "online": True,
            "approvedRoutes": [],
            "availableRoutes": [],
            "subnetRoutes": [],
            **fields,
        }
        self.nodes.append(node)
        return node

    def answer(self, request: Request) -> Reply:
        if not request.path.startswith("/api/v1/"):
            return Reply(404, b"404 page not found")
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return Reply(self.status_of_bad_keys, b"Unauthorized")
        if (request.method, request.path) == ("GET", "/api/v1/node"):
            return Reply(200, {"nodes": self.nodes}, {"Content-Type": "application/json"})
        return Reply(404, {"code": 5, "message": "Not Found", "details": []})
