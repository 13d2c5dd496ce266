"""Modules that are imported when something of theirs is first used.

Some libraries take megabytes, and most API processes never need them: SSH is the servers' worker's,
a picture is decoded when somebody uploads one.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Lazy:
    """Stands for a module until it is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._name), name)
