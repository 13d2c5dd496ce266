"""The control groups of a server: all its processes in one place, to freeze, count and kill."""

import contextlib
import os
import signal
import time
from pathlib import Path

_BASE = Path("/sys/fs/cgroup")
_V1 = (_BASE / "freezer").is_dir()
ROOT = _BASE / "freezer" if _V1 else _BASE


def pids(group: Path) -> set[int]:
    """Every process in the group and the groups below it."""
    found: set[int] = set()
    for path in [group / "cgroup.procs", *group.glob("**/cgroup.procs")]:
        with contextlib.suppress(OSError):
            found |= {int(word) for word in path.read_text().split()}
    return found - {0}


def freeze(group: Path) -> None:
    """Stop all of it at once: sockets stay open, nothing answers."""
    _freezer(group, frozen=True)


def thaw(group: Path) -> None:
    _freezer(group, frozen=False)


def _freezer(group: Path, *, frozen: bool) -> None:
    if _V1:
        file, state = group / "freezer.state", group / "freezer.state"
        order = wanted = "FROZEN" if frozen else "THAWED"
    else:
        file, state = group / "cgroup.freeze", group / "cgroup.events"
        order, wanted = ("1", "frozen 1") if frozen else ("0", "frozen 0")
    for _ in range(500):
        file.write_text(order)  # the old freezer wants to be asked again until it is done
        if wanted in state.read_text().splitlines():
            return
        time.sleep(0.01)
    raise OSError(f"{group} does not become {wanted}")


def kill_all(group: Path) -> None:
    """kill -9 for all of it, frozen or not; returns when nothing is left."""
    if not group.is_dir():
        return
    with contextlib.suppress(OSError):
        thaw(group)
    left: set[int] = set()
    for _ in range(1000):
        left = pids(group)
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    raise OSError(f"processes of {group} do not end: {sorted(left)}")


def remove(name: str) -> None:
    """Remove the emptied groups of this name, in every hierarchy."""
    hierarchies = [path for path in _BASE.iterdir() if path.is_dir()] if _V1 else [_BASE]
    for top in {hierarchy / name for hierarchy in hierarchies}:
        if not top.is_dir():
            continue
        below = sorted((path for path in top.glob("**/") if path.is_dir()), reverse=True)
        for group in below:
            with contextlib.suppress(OSError):
                group.rmdir()


def named(prefix: str) -> list[Path]:
    return sorted(ROOT.glob(f"{prefix}*"))
