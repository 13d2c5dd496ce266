"""Hints between processes: heard by all who listen, lost without harm."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
from pathlib import Path

from derpman.kit.wake import LocalWake, sockets_folder


def test_every_listener_hears(tmp_path: Path) -> None:
    wake = LocalWake(tmp_path)
    first: queue.Queue[str] = queue.Queue()
    second: queue.Queue[str] = queue.Queue()
    ends = [wake.listen(first.put), LocalWake(tmp_path).listen(second.put)]
    wake.send(["servers", "deliveries"])
    for heard in (first, second):
        assert {heard.get(timeout=5), heard.get(timeout=5)} == {"servers", "deliveries"}
    for end in ends:
        end()


def test_other_installation_hears_nothing(tmp_path: Path) -> None:
    heard: queue.Queue[str] = queue.Queue()
    end = LocalWake(tmp_path / "one").listen(heard.put)
    LocalWake(tmp_path / "two").send(["servers"])
    LocalWake(tmp_path / "one").send(["deliveries"])
    assert heard.get(timeout=5) == "deliveries"
    end()


def test_listener_that_was_killed_is_forgotten(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, os, signal\n"
        "from derpman.kit.wake import LocalWake\n"
        "LocalWake(pathlib.Path(sys.argv[1])).listen(print)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    folder = sockets_folder(tmp_path) / "wake"
    assert len(list(folder.iterdir())) == 1
    LocalWake(tmp_path).send(["servers"])
    assert list(folder.iterdir()) == []


def test_sockets_are_private(tmp_path: Path) -> None:
    assert sockets_folder(tmp_path).stat().st_mode & 0o077 == 0
    assert sockets_folder(tmp_path).stat().st_uid == os.getuid()
