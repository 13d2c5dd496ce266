"""What everybody looks at is read once every few seconds, for all processes: kept in Redis.

Without Redis, or while it is away, each process keeps its own. For what is the same for everybody
who may see it; who may is decided before, at every request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import redis
import structlog
from pydantic import BaseModel, ValidationError

log = structlog.get_logger(__name__)
M = TypeVar("M", bound=BaseModel)
KEY = "derpman:hot:"


class Hot(Generic[M]):
    """One value of a model, at most `seconds` old; with Redis half of that here, half there."""

    def __init__(
        self,
        name: str,
        model: type[M],
        *,
        seconds: float,
        redis_url: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = KEY + name
        self._model = model
        self._seconds = seconds if redis_url is None else seconds / 2
        self._redis = (
            None
            if redis_url is None
            else redis.Redis.from_url(redis_url, socket_timeout=0.5, socket_connect_timeout=0.5)
        )
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._kept: M | None = None

    def get(self, read: Callable[[], M]) -> M:
        """Return the value; one caller reads it when it is too old, others wait for him."""
        with self._lock:
            if self._kept is None or self._monotonic() - self._read_at > self._seconds:
                self._kept = self._shared(read)
                self._read_at = self._monotonic()
            return self._kept

    def _shared(self, read: Callable[[], M]) -> M:
        if self._redis is None:
            return read()
        try:
            found = self._redis.get(self._key)
            if found is not None:
                return self._model.model_validate_json(found)
        except (redis.RedisError, ValidationError) as error:
            # Away, or written by another version of the program.
            log.warning("hot value not taken", key=self._key, error=type(error).__name__)
        value = read()
        try:
            self._redis.set(self._key, value.model_dump_json(), px=int(self._seconds * 1000))
        except redis.RedisError as error:
            log.warning("hot value not kept", key=self._key, error=type(error).__name__)
        return value
