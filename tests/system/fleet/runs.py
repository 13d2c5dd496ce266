"""A run's own name, folder and subnet; and the removal of what dead runs left.

Everything a run makes on this machine carries its name: namespaces dm<run>-*, the cable dm<run>,
control groups derpman-<run>-*, the folder <run>. A live run holds a lock in its folder, so
another run can tell the dead from the living and removes only the dead.
"""

import ipaddress
import json
import os
import random
from pathlib import Path

from tests.system.fleet import cgroups, netns
from tests.system.folders import Folder, remove_dead
from tests.system.processes import run

BASE = Path(os.environ.get("DERPMAN_FLEET_DIR", "/var/tmp/derpman-fleet"))


class Run:
    """One live run; `close` removes everything with its name."""

    def __init__(self) -> None:
        remove_dead(BASE, _remove)
        self._folder = Folder(BASE)
        self.folder = self._folder.path

    @property
    def prefix(self) -> str:
        """Of network namespaces and cables; short, as a link's name has 15 characters at most."""
        return f"dm{self._folder.name}"

    def close(self, *, keep_folder: bool = False) -> None:
        _remove(self._folder.name)
        self._folder.close(keep=keep_folder)


def free_subnet() -> ipaddress.IPv4Network:
    """A private /24 that no route of this machine covers."""
    routes = json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"]).stdout or "[]")
    taken = [
        ipaddress.ip_network(route["dst"], strict=False)
        for route in routes
        if route["dst"] != "default"
    ]
    while True:
        first = f"10.{random.randrange(64, 192)}.{random.randrange(256)}.0"
        net = ipaddress.IPv4Network((first, 24))
        if not any(net.overlaps(other) for other in taken):
            return net


def _remove(name: str) -> None:
    for group in cgroups.named(f"derpman-{name}-"):
        cgroups.kill_all(group)
        cgroups.remove(group.name)
    for namespace in netns.existing(f"dm{name}-"):
        netns.remove(namespace)
    run(["ip", "link", "del", f"dm{name}"], check=False)
