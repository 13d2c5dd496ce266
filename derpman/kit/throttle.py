"""How often somebody may try: a moving window, in this process or in Redis for all of them."""

from __future__ import annotations

import ipaddress
import math
import time
from dataclasses import dataclass

import limits
import redis
import structlog
from limits.storage import MemoryStorage, RedisStorage, Storage
from limits.strategies import MovingWindowRateLimiter

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Limit:
    """At most `times` in any window of `seconds`, counted apart for each key."""

    name: str
    times: int
    seconds: int


class Throttle:
    """Counts tries. A Redis that is away weakens the limit to one per process, and lifts none."""

    def __init__(self, redis_url: str | None = None) -> None:
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._shared = self._own
        if redis_url is not None:
            storage: Storage = RedisStorage(
                redis_url, key_prefix="derpman:tries", socket_timeout=1, socket_connect_timeout=1
            )
            self._shared = MovingWindowRateLimiter(storage)

    def take(self, limit: Limit, key: str) -> int:
        """Count a try; return 0, or the seconds until the next one when this was too many."""
        return self._count(limit, key, is_try=True)

    def wait(self, limit: Limit, key: str) -> int:
        """Return the seconds until a try is allowed, without counting one."""
        return self._count(limit, key, is_try=False)

    def forget(self, limit: Limit, key: str) -> None:
        """Begin anew: the tries of this key were somebody who has shown that he may."""
        for limiter in (self._shared, self._own):
            try:
                limiter.clear(_item(limit), key)
            except redis.RedisError as error:
                log.warning("tries not forgotten", error=type(error).__name__)

    def _count(self, limit: Limit, key: str, *, is_try: bool) -> int:
        try:
            return _ask(self._shared, limit, key, is_try=is_try)
        except redis.RedisError as error:
            log.warning("limits are counted by this process alone", error=type(error).__name__)
            return _ask(self._own, limit, key, is_try=is_try)


def network_of(ip: str) -> str:
    """Return what one household or server has: its IPv4 address, or its /64 of IPv6."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def wide_network_of(ip: str) -> str:
    """Return what one provider's customer may have many addresses of: a /24, or a /48 of IPv6."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((address, 48), strict=False))
        address = address.ipv4_mapped
    return str(ipaddress.ip_network((address, 24), strict=False))


def _item(limit: Limit) -> limits.RateLimitItem:
    return limits.RateLimitItemPerSecond(limit.times, limit.seconds, namespace=limit.name)


def _ask(limiter: MovingWindowRateLimiter, limit: Limit, key: str, *, is_try: bool) -> int:
    item = _item(limit)
    if limiter.hit(item, key) if is_try else limiter.test(item, key):
        return 0
    free_at = limiter.get_window_stats(item, key).reset_time
    return max(1, math.ceil(free_at - time.time()))
