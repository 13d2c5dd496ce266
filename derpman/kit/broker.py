"""How many messages wait in Celery's queue: in Redis, or in the folder of the embedded default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import redis

QUEUE = "celery"
"""The one queue, by its name in both brokers."""


def depth_of(redis_url: str | None, data_dir: Path) -> Callable[[], int | None]:
    """Return what counts the messages; it returns None while Redis is away."""
    if redis_url is None:
        folder = queue_folder(data_dir)
        return lambda: sum(1 for _ in folder.glob("*.msg"))
    client = redis.Redis.from_url(redis_url, socket_timeout=2, socket_connect_timeout=2)

    def depth() -> int | None:
        try:
            return client.llen(QUEUE)
        except redis.RedisError:
            return None

    return depth


def queue_folder(data_dir: Path) -> Path:
    """Return where the embedded default keeps messages."""
    return data_dir / "broker" / "queue"
