"""A client of headscale's API: the list of nodes, by an API key.

As published in its API description
https://github.com/juanfont/headscale/blob/main/gen/openapiv2/headscale/v1/headscale.swagger.json;
what it answers to a bad key as in `httpAuthenticationMiddleware` of hscontrol/app.go: 401, before
0.27 also 500, with the one word `Unauthorized`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from derpman.kit.outgoing import Outgoing
from derpman.tailnets.control import Asking, ControlFailure, Peer, Trouble, objects, word, words


@dataclass
class Headscale:
    """Speaks for one API key; with `user` only of that user's nodes."""

    outgoing: Outgoing
    base: str
    key: str = field(repr=False)
    user: str = ""

    def devices(self) -> list[Peer]:
        """Return the nodes; a node keeps its id when it logs in again and gets a new key."""
        headers = {"Authorization": f"Bearer {self.key}", "Accept": "application/json"}
        asking = Asking(self.outgoing, self.base, (self.key,))
        answer = asking.send("GET", "/api/v1/node", headers=headers)
        if answer.status in (401, 403) or (
            answer.status == 500 and answer.body.strip() == b"Unauthorized"
        ):
            raise ControlFailure(Trouble.KEY_REFUSED)
        if answer.status == 404:
            raise ControlFailure(Trouble.NO_API)
        if answer.status >= 500:
            raise ControlFailure(Trouble.SERVER_ERROR, status=answer.status)
        if answer.status != 200:
            raise ControlFailure(Trouble.UNEXPECTED, status=answer.status)
        nodes = objects(answer, "nodes")
        return [_peer(node) for node in nodes if self.user in ("", _user(node))]


def _user(node: dict[str, Any]) -> str:
    user = node.get("user")
    return word(cast("dict[str, Any]", user), "name") if isinstance(user, dict) else ""


def _peer(node: dict[str, Any]) -> Peer:
    made_by = node.get("preAuthKey")
    key = cast("dict[str, Any]", made_by) if isinstance(made_by, dict) else {}
    return Peer(
        stable_id=word(node, "id"),
        node_key=word(node, "nodeKey"),
        name=word(node, "givenName") or word(node, "name"),
        addresses=words(node, "ipAddresses"),
        last_seen=word(node, "lastSeen"),
        is_ephemeral=key.get("ephemeral") is True,
    )
