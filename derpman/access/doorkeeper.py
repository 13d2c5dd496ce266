"""Who a token stands for, asked with every request and therefore remembered for a moment."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection

from derpman.access import service, tokens
from derpman.access.service import Identity
from derpman.kit.errors import Unavailable
from derpman.kit.secrets import token_hash
from derpman.kit.work import Edge

CACHE_SECONDS = 0.9
"""A session ended elsewhere is honoured within one second: this, and the time of one request."""
CACHE_SIZE = 20_000
BATCH = 500


class Doorkeeper:
    """Finds whom a token stands for. A wake-up for "sessions" makes it forget at once."""

    def __init__(
        self, run: Edge, *, session_days: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.cache_seconds = CACHE_SECONDS
        self._monotonic = monotonic
        self._run = run
        self._session_days = session_days
        self._known: OrderedDict[str, tuple[float, Identity]] = OrderedDict()
        self._forgotten = 0
        self._lock = threading.Lock()

    def identity_of(self, token: str, *, look_again: bool = False) -> Identity | None:
        """Return whom a token stands for, or None; a session in use is prolonged."""
        hashed = token_hash(token)
        asked_at = self._monotonic()
        with self._lock:
            found = self._known.get(hashed)
            forgotten = self._forgotten
        if found is not None and not look_again and asked_at - found[0] < self.cache_seconds:
            return found[1]
        find = tokens.find if token.startswith(tokens.PREFIX) else service.find
        identity = self._run.read(find, hashed_token=hashed)
        if identity is None:
            with self._lock:
                self._known.pop(hashed, None)
            return None
        with self._lock:
            # What was read before a wake-up may be older than what it was about.
            if forgotten == self._forgotten:
                self._known[hashed] = asked_at, identity
                self._known.move_to_end(hashed)
                if len(self._known) > CACHE_SIZE:
                    self._known.popitem(last=False)
        if service.is_stale(identity, self._run.clock()):
            self._touch(identity)
        return identity

    def holding(self, tokens_: Collection[str]) -> set[str]:
        """Return which of these tokens stand for somebody now, whatever is remembered."""
        hashes = {token_hash(one): one for one in tokens_}
        asked, held = list(hashes), set[str]()
        for start in range(0, len(asked), BATCH):
            batch = asked[start : start + BATCH]
            held |= self._run.read(service.holding, hashed_tokens=batch)
        known = {hashes[one] for one in held}
        programs = {one for one in tokens_ if one.startswith(tokens.PREFIX)}
        return known | {one for one in programs if self.identity_of(one) is not None}

    def heard(self, topic: str) -> None:
        """Forget everybody when sessions were ended: called by the wake listener."""
        if topic == "sessions":
            with self._lock:
                self._known.clear()
                self._forgotten += 1

    def _touch(self, identity: Identity) -> None:
        try:
            if identity.token_id is not None:
                self._run(tokens.touch, token_id=identity.token_id)
            else:
                self._run(
                    service.touch, session_id=identity.session_id or 0, days=self._session_days
                )
        except Unavailable:
            return  # the next request tries again
