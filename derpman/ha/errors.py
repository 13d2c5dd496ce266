"""What high availability refuses."""

from derpman.kit.errors import Conflict


class NotUnhealthy(Conflict):
    code = "ha.server_healthy"
    text = "Server {server_id} is healthy: drain it, or move single relays, instead."


class MovesFrozen(Conflict):
    code = "ha.frozen"
    text = (
        "The panel has lost {lost} of {servers} servers at once: it is probably cut off itself, "
        "and moves nothing by itself. Name a server to move its relays all the same."
    )
