"""How the C library keeps memory. Where it is not glibc, nothing happens."""

from __future__ import annotations

import contextlib
import ctypes

M_ARENA_MAX = -8  # of mallopt(3)
POOLS = 2


def share_pools() -> None:
    """Have threads share two pools of memory, from before the first of them starts.

    By default every thread may get one of its own, which keeps what it once had: 10 MB in an API
    process, more with many threads.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, POOLS)


def give_back() -> None:
    """Return freed memory to the system now: the C library would keep it for later."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
