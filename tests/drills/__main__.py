"""List the drills, run one (NAME), or run all of them (--all).

All of them run in two lanes, the longest first, since most of a drill is waiting. Those that
measure how long something takes to the tenth of a second say ALONE and come after, one by one,
and so does the second try of one that failed beside another.
"""

import argparse
import ast
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from tests.drills._drill import SKIPPED

HERE = Path(__file__).parent
SHORT = 0.05
DEFAULT_BUDGET_S = 60.0
# For the short forms of all drills together: what they should take, told when they take longer,
# and what they may, since a machine that is busy with something else is no fault of theirs.
ALL_AIM_S = 900.0
ALL_BUDGET_S = 3600.0
LANES = 2

NOT_YET: dict[str, str] = {}
"""Drills of work under way, left out of all, each with its reason."""


@dataclass(frozen=True)
class Entry:
    name: str
    module: str
    purpose: str
    budget_s: float  # of the short form
    alone: bool = False  # what it measures does not bear another one beside it

    def command(self, rest: list[str]) -> list[str]:
        return [sys.executable, "-m", self.module, *rest]


def entries() -> list[Entry]:
    """Every drill of this folder, by name, without importing any."""
    found: list[Entry] = []
    for path in sorted(HERE.glob("[a-z]*.py")):
        tree = ast.parse(path.read_text())
        purpose = (ast.get_docstring(tree) or "").partition("\n")[0]
        told: dict[str, Any] = {"BUDGET_S": DEFAULT_BUDGET_S, "ALONE": False}
        for node in tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in told:
                told[ast.unparse(node.targets[0])] = ast.literal_eval(node.value)
        name, module = path.stem.replace("_", "-"), f"tests.drills.{path.stem}"
        found.append(Entry(name, module, purpose, float(told["BUDGET_S"]), told["ALONE"]))
    return found


class Running:
    """The drills that run now; a signal to us goes to each, which cleans up and ends."""

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[str]] = set()
        self.ended = False

    @contextlib.contextmanager
    def passing_signals(self) -> "Generator[None]":
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        old = {one: signal.signal(one, self._pass) for one in numbers}
        try:
            yield
        finally:
            for one, handler in old.items():
                signal.signal(one, handler)

    @contextlib.contextmanager
    def with_(self, process: "subprocess.Popen[str]") -> "Generator[None]":
        self._processes.add(process)
        try:
            yield
        finally:
            self._processes.discard(process)

    def _pass(self, number: int, _frame: FrameType | None) -> None:
        self.ended = True
        for process in list(self._processes):
            process.send_signal(number)


RUNNING = Running()


def run_one(
    entry: Entry, rest: list[str], limit_s: float | None, *, mark: str = ""
) -> tuple[int, dict[str, Any]]:
    """Run it, its output passed through; beyond the limit it is ended. Status and last line."""
    last = ""
    process = subprocess.Popen(
        entry.command(rest),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if mark else None,
        text=True,
        start_new_session=True,
    )
    with process, RUNNING.with_(process), _limited(process, limit_s) as overrun:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"{mark}{line}", end="", flush=True)
            last = line
        status = process.wait()
    try:
        result = json.loads(last)
    except ValueError:
        result = {"drill": entry.name, "ok": False, "error": f"no result, exit status {status}"}
    if overrun:
        result |= {"ok": False, "error": f"over its budget of {limit_s:g} s"}
    return (status or 1) if overrun else status, result


@contextlib.contextmanager
def _limited(process: "subprocess.Popen[str]", seconds: float | None) -> "Generator[list[bool]]":
    """End the process beyond its time: politely, and 30 s later by force. The list tells."""
    overrun: list[bool] = []

    def late() -> None:
        overrun.append(True)
        process.terminate()
        force.start()

    force = threading.Timer(30, process.kill)
    timer = threading.Timer(seconds, late) if seconds else None
    if timer:
        timer.start()
    try:
        yield overrun
    finally:
        force.cancel()
        if timer:
            timer.cancel()


class Round:
    """All drills, each once, and once more where it failed."""

    def __init__(self, rest: list[str], scale: float) -> None:
        self.rest = rest
        self.scale = scale
        self.outcomes: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.again: list[tuple[Entry, str]] = []

    def run(self) -> None:
        todo: list[Entry] = []
        for entry in sorted(entries(), key=lambda one: -one.budget_s):
            self.outcomes[entry.name] = f"skipped: {NOT_YET.get(entry.name)}"
            if entry.name not in NOT_YET:
                todo.append(entry)
        waiting: queue.SimpleQueue[Entry] = queue.SimpleQueue()
        for entry in todo:
            if not entry.alone:
                waiting.put(entry)
        lanes = [threading.Thread(target=self._lane, args=(waiting,)) for _ in range(LANES)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        for entry in todo:
            if entry.alone:
                self._play(entry)
        for entry, first in self.again:
            # Bounds in seconds, on a machine that may have been busy: once more, and both are told.
            print(f"== {entry.name} once more, after: {first}", flush=True)
            self._play(entry, first)

    def _lane(self, waiting: "queue.SimpleQueue[Entry]") -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._play(waiting.get_nowait())

    def _play(self, entry: Entry, first: str = "") -> None:
        if RUNNING.ended:
            self.outcomes[entry.name] = "FAILED: ended before it began"
            return
        print(f"== {entry.name}: {entry.purpose}", flush=True)
        limit = entry.budget_s * max(1.0, self.scale / SHORT)
        status, result = run_one(entry, self.rest, limit, mark=f"{entry.name} ")
        self.seconds[entry.name] = float(result.get("seconds") or 0)
        trouble = str(result.get("error") or result.get("failed"))
        if status == SKIPPED:
            self.outcomes[entry.name] = f"skipped: {result.get('skipped')}"
        elif status == 0 and result.get("ok"):
            self.outcomes[entry.name] = f"ok, at the second try: {first}" if first else "ok"
        else:
            self.outcomes[entry.name] = f"FAILED: {trouble}"
            if not first:
                self.again.append((entry, trouble))


def run_all(rest: list[str], scale: float) -> int:
    """Run every drill and print what came of each."""
    began = time.monotonic()
    now = Round(rest, scale)
    with RUNNING.passing_signals():
        now.run()
    seconds = time.monotonic() - began
    in_time = scale > SHORT or seconds <= ALL_BUDGET_S
    for name, outcome in sorted(now.outcomes.items()):
        print(f"{name:20} {now.seconds.get(name, 0):6.0f} s  {outcome}")
    failed = [name for name, outcome in now.outcomes.items() if outcome.startswith("FAILED")]
    ok = in_time and not failed
    summary: dict[str, Any] = {"drills": len(now.outcomes), "ok": ok, "seconds": round(seconds, 1)}
    skipped = [name for name, outcome in now.outcomes.items() if outcome.startswith("skipped")]
    if skipped:
        summary["skipped"] = skipped
    if scale <= SHORT and seconds > ALL_AIM_S:
        summary["slow"] = f"over the {ALL_AIM_S:g} s that all should take"
    if not in_time:
        summary["error"] = f"over the budget of {ALL_BUDGET_S:g} s for all"
    print(json.dumps(summary), flush=True)
    return 0 if ok else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description=__doc__)
    parser.add_argument("name", nargs="?", help="one of the drills")
    parser.add_argument("--all", action="store_true", help="all of them, one after another")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--scale", type=float, default=float(os.environ.get("SCALE") or 1))
    args = parser.parse_args()
    rest = [f"--scale={args.scale:g}", *([f"--seed={args.seed}"] if args.seed is not None else [])]
    if args.all:
        return run_all(rest, args.scale)
    known = entries()
    if args.name is None:
        for entry in known:
            print(f"{entry.name:20} {entry.purpose}")
        return 0
    chosen = [entry for entry in known if entry.name == args.name]
    if not chosen:
        parser.error(f"no drill {args.name!r}; there are: {', '.join(one.name for one in known)}")
    with RUNNING.passing_signals():
        return run_one(chosen[0], rest, None)[0]


if __name__ == "__main__":
    sys.exit(main())
