"""Folders that belong to one living program: those of dead ones can be told apart and removed."""

import contextlib
import fcntl
import secrets
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import IO


class Folder:
    """A new folder with a short random name below a base, locked as long as the program lives."""

    def __init__(self, base: Path) -> None:
        with _alone(base):
            while True:
                self.path = base / secrets.token_hex(2)
                with contextlib.suppress(FileExistsError):
                    self.path.mkdir()
                    break
            lock = _lock(self.path)
        assert lock is not None
        self._lock = lock

    @property
    def name(self) -> str:
        return self.path.name

    def close(self, *, keep: bool = False) -> None:
        """Remove it, or `keep` it until the next program looks for the dead."""
        if not keep:
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def remove_dead(base: Path, clean: Callable[[str], None] = lambda _: None) -> list[str]:
    """Remove the folders whose program is gone, each after `clean(name)`; returns their names."""
    removed: list[str] = []
    with _alone(base):
        for path in base.glob("????"):
            lock = _lock(path)
            if lock is None:
                continue
            clean(path.name)
            shutil.rmtree(path, ignore_errors=True)
            lock.close()
            removed.append(path.name)
    return removed


@contextlib.contextmanager
def _alone(base: Path) -> "Generator[None]":
    """Nobody else takes or removes folders here meanwhile: a new one is not locked at once."""
    base.mkdir(parents=True, exist_ok=True)
    with (base / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lock(folder: Path) -> IO[str] | None:
    try:
        lock = (folder / "lock").open("w")
    except FileNotFoundError:
        return None  # its own program removed it meanwhile
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock
