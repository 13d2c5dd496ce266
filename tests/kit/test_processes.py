"""The supervisor: what ends is started again, and all end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil


def wait_for(path: Path, lines: int) -> list[int]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if path.exists() and len(pids := path.read_text().split()) >= lines:
            return [int(pid) for pid in pids]
        time.sleep(0.02)
    raise AssertionError("the child did not start")


def supervised_sleeper(pids: Path) -> subprocess.Popen[bytes]:
    child = (
        f"import os, time; open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(60)"
    )
    code = textwrap.dedent(f"""
        import sys
        from derpman.kit.processes import Child, Supervisor
        Supervisor([Child("sleeper", [sys.executable, "-c", {child!r}])]).run()
    """)
    return subprocess.Popen([sys.executable, "-c", code])


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while psutil.pid_exists(pid):
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.02)


def test_child_that_is_killed_is_started_again_and_all_end_on_sigterm(tmp_path: Path) -> None:
    supervisor = supervised_sleeper(tmp_path / "pids")
    try:
        [first] = wait_for(tmp_path / "pids", 1)
        os.kill(first, signal.SIGKILL)
        _, second = wait_for(tmp_path / "pids", 2)
        assert psutil.pid_exists(second)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(30) == 0
        assert not psutil.pid_exists(second)
    finally:
        supervisor.kill()


def test_children_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    supervisor = supervised_sleeper(tmp_path / "pids")
    [child] = wait_for(tmp_path / "pids", 1)
    supervisor.kill()
    supervisor.wait(30)
    wait_until_gone(child)
