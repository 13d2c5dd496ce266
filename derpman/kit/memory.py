"""How the C library keeps memory, where it is glibc; and when Python looks for garbage."""

from __future__ import annotations

import contextlib
import ctypes
import gc

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of mallopt(3)
LARGE_BYTES = 1 << 20
POOLS = 2


def configure() -> None:
    """Have freed memory go back to the system; call it before the first thread starts.

    By default every thread may get a pool of its own, which keeps what it once had (10 MB in an
    API process), and large blocks are kept after the first: 19 MB for each password at a time.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_ARENA_MAX, POOLS)
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def begin() -> None:
    """Look for no garbage until `begun`: modules make none, and it takes a quarter of a start."""
    gc.disable()


def begun() -> None:
    """Look for garbage from now on, but not among what is here: modules stay for ever.

    May be called again when more of that kind was made.
    """
    gc.freeze()
    gc.enable()


def give_back() -> None:
    """Return freed memory to the system now: the C library would keep it for later."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
