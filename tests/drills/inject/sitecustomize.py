"""Loaded by every Python process of a drill's panel: dies by kill -9 at the step it is told.

`DERPMAN_DRILL_STEPS` names a folder. While a file `<process>` stands there with a number, this
process counts database steps (each statement, each commit before and after) and kills itself at
that one. The file is removed first, so that the next process lives. Nothing of the product knows.
"""

import os
import signal
import sys
import threading
from pathlib import Path

_FOLDER = os.environ.get("DERPMAN_DRILL_STEPS")
_lock = threading.Lock()


def _process() -> str:
    words = sys.argv[1:]
    return words[words.index("--only") + 1] if "--only" in words else "api"


def _step(*_: object) -> None:
    with _lock:
        trap = Path(str(_FOLDER)) / _process()
        try:
            left = int(trap.read_text())
        except (FileNotFoundError, ValueError):
            return
        if left > 1:
            draft = trap.with_suffix(f".{os.getpid()}")
            draft.write_text(str(left - 1))
            draft.replace(trap)
            return
        trap.unlink(missing_ok=True)
        os.kill(os.getpid(), signal.SIGKILL)


if _FOLDER:
    from sqlalchemy import Engine, event

    event.listen(Engine, "before_cursor_execute", _step)
    event.listen(Engine, "commit", _step)
    event.listen(Engine, "after_cursor_execute", _step)
