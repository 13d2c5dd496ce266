"""Network namespaces: making, entering and removing them."""

import contextlib
import ctypes
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from tests.system.processes import Impossible, run

FOLDER = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
P = ParamSpec("P")
T = TypeVar("T")


def add(name: str) -> None:
    run(["ip", "netns", "add", name])


def remove(name: str) -> None:
    """Remove the namespace and everything that still runs in it."""
    for word in run(["ip", "netns", "pids", name], check=False).stdout.split():
        _kill(int(word))
    run(["ip", "netns", "del", name], check=False)


def isolate() -> None:
    """Leave every network: from now on this program and what it starts have loopback only."""
    if _libc.unshare(_CLONE_NEWNET) != 0:
        raise Impossible("it needs root: a network of its own")
    run(["ip", "link", "set", "lo", "up"])


def existing(prefix: str) -> list[str]:
    return sorted(path.name for path in FOLDER.glob(f"{prefix}*"))


def call_in(name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call it in a thread of its own that is inside the namespace; its sockets stay there."""
    outcome: list[T] = []
    trouble: list[BaseException] = []

    def enter_and_call() -> None:
        try:
            _enter(name)
            outcome.append(function(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            trouble.append(error)

    thread = threading.Thread(target=enter_and_call, name=f"in-{name}", daemon=True)
    thread.start()
    thread.join()
    if trouble:
        raise trouble[0]
    return outcome[0]


def _enter(name: str) -> None:
    with (FOLDER / name).open() as handle:
        if _libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"setns {name}: {os.strerror(code)}")


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
