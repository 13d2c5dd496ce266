"""One process of an installation acts, the others wait for their turn: for the scheduler."""

from __future__ import annotations

import atexit
import fcntl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import redis
import structlog
from redis.exceptions import LockError
from redis.lock import Lock

HELD_SECONDS = 15.0
"""After so long another takes the turn of a process that was killed."""
KEPT_EVERY_SECONDS = 4.0
ASKED_EVERY_SECONDS = 1.0

log = structlog.get_logger(__name__)


def wait_for_file(path: Path) -> None:
    """Wait until no other process of this machine has the turn; it ends with this process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a")
    fcntl.flock(file, fcntl.LOCK_EX)
    _HELD.append(file)


_HELD: list[object] = []
"""Open files, which hold locks until the process ends."""


class RedisTurn:
    """The turn among processes of several machines: a lock in Redis that must be kept.

    A Redis that starts empty forgets who has the turn: for some seconds two may have it then, and
    the one that finds out gives up.
    """

    def __init__(self, url: str, name: str, lost: Callable[[], None]) -> None:
        client = redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3)
        self._lock = Lock(client, f"derpman:turn:{name}", timeout=HELD_SECONDS, thread_local=False)
        self._name = name
        self._lost = lost
        self._ended = threading.Event()

    def wait(self) -> None:
        """Wait for the turn, then keep it until the process ends."""
        is_told = False
        while not self._taken():
            if not is_told:
                log.info("waits for its turn", turn=self._name)
                is_told = True
            time.sleep(ASKED_EVERY_SECONDS)
        log.info("has its turn", turn=self._name)
        threading.Thread(target=self._keep, name="turn", daemon=True).start()
        atexit.register(self.end)

    def end(self) -> None:
        """Hand the turn over at once, and not only when it runs out."""
        self._ended.set()
        try:
            self._lock.release()
        except (LockError, redis.RedisError) as error:
            log.warning("turn not handed over", turn=self._name, error=type(error).__name__)

    def _taken(self) -> bool:
        try:
            return self._lock.acquire(blocking=False)
        except redis.RedisError as error:
            log.warning("nobody can have a turn", turn=self._name, error=type(error).__name__)
            return False

    def _keep(self) -> None:
        while not self._ended.wait(KEPT_EVERY_SECONDS):
            try:
                self._lock.reacquire()
            except LockError:
                # It ran out while Redis or we stood still. If nobody took it, it is ours again.
                if self._ended.is_set() or self._taken():
                    continue
                log.warning("turn lost", turn=self._name)
                self._lost()
                return
            except redis.RedisError as error:
                log.warning("turn not kept", turn=self._name, error=type(error).__name__)
