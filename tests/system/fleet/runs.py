"""A run's own name, folder and subnet; and the removal of what dead runs left.

Everything a run makes on this machine carries its name: namespaces dm<run>-*, the cable dm<run>,
control groups derpman-<run>-*, the folder <run>. A live run holds a lock in its folder, so
another run can tell the dead from the living and removes only the dead.
"""

import contextlib
import fcntl
import ipaddress
import json
import os
import random
import secrets
import shutil
from pathlib import Path
from typing import IO

from tests.system.fleet import cgroups, netns
from tests.system.processes import run

BASE = Path(os.environ.get("DERPMAN_FLEET_DIR", "/var/tmp/derpman-fleet"))


class Run:
    """One live run; `close` removes everything with its name."""

    def __init__(self, name: str, folder: Path, lock: IO[str]) -> None:
        self.name = name
        self.folder = folder
        self._lock = lock

    @classmethod
    def begin(cls) -> "Run":
        """Take a new name; what dead runs left is removed first."""
        BASE.mkdir(parents=True, exist_ok=True)
        remove_dead()
        while True:
            name = secrets.token_hex(2)
            folder = BASE / name
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                lock = _lock(folder)
                assert lock is not None
                return cls(name, folder, lock)

    @property
    def prefix(self) -> str:
        """Of network namespaces and cables; with "-n1" within the 15 characters of a link."""
        return f"dm{self.name}"

    def close(self, *, keep_folder: bool = False) -> None:
        _remove(self.name, keep_folder=keep_folder)
        self._lock.close()


def free_subnet() -> ipaddress.IPv4Network:
    """A private /24 that no route of this machine covers."""
    routes = json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"]).stdout or "[]")
    taken = [
        ipaddress.ip_network(route["dst"], strict=False)
        for route in routes
        if route["dst"] != "default"
    ]
    while True:
        net = ipaddress.IPv4Network(
            (f"10.{random.randrange(64, 192)}.{random.randrange(256)}.0", 24)
        )
        if not any(net.overlaps(other) for other in taken):
            return net


def remove_dead() -> list[str]:
    """Remove the leftovers of runs whose program is gone; returns their names."""
    removed: list[str] = []
    for folder in BASE.glob("????"):
        lock = _lock(folder)
        if lock is None:
            continue
        _remove(folder.name)
        lock.close()
        removed.append(folder.name)
    return removed


def _lock(folder: Path) -> IO[str] | None:
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _remove(name: str, *, keep_folder: bool = False) -> None:
    for group in cgroups.named(f"derpman-{name}-"):
        cgroups.kill_all(group)
        cgroups.remove(group.name)
    for namespace in netns.existing(f"dm{name}-"):
        netns.remove(namespace)
    run(["ip", "link", "del", f"dm{name}"], check=False)
    if not keep_folder:
        shutil.rmtree(BASE / name, ignore_errors=True)
