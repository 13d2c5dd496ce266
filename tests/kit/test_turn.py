"""One process has the turn; the next has it when that one ends, however it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

CODE = """
import sys, time
from pathlib import Path
from derpman.kit.turn import wait_for_file
wait_for_file(Path(sys.argv[1]))
print("mine", flush=True)
time.sleep(60)
"""


def waiter(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CODE, str(path)], stdout=subprocess.PIPE)


def test_the_next_process_has_its_turn_when_the_first_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "data" / "beat.lock"
    first = waiter(path)
    second = None
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == b"mine\n"
        second = waiter(path)
        time.sleep(1.5)  # long enough to have started
        first.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        assert second.stdout is not None
        assert second.stdout.readline() == b"mine\n"
        assert time.monotonic() - killed < 30
    finally:
        for process in (first, second):
            if process is not None:
                process.kill()
                process.communicate()
