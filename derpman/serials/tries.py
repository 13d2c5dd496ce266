"""How often somebody may enter serials that do not exist: far too seldom to find one."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from derpman.kit.guards import Guards
from derpman.kit.throttle import Limit, wide_network_of
from derpman.kit.work import Actor
from derpman.serials.errors import SerialNotFound

WRONG_OF_ONE = Limit("serial-user", 10, 600)
WRONG_FROM_NETWORK = Limit("serial-network", 100, 600)
"""From many accounts of one network."""


@contextmanager
def counted(guards: Guards, actor: Actor) -> Generator[None]:
    """Count a serial that does not exist; TooManyTries when there were too many before."""
    user, network = str(actor.user_id), wide_network_of(actor.ip)
    guards.check(WRONG_OF_ONE, user)
    guards.check(WRONG_FROM_NETWORK, network)
    try:
        yield
    except SerialNotFound:
        guards.throttle.take(WRONG_OF_ONE, user)
        guards.throttle.take(WRONG_FROM_NETWORK, network)
        raise
