"""List the drills, run one (NAME), or run all of them (--all)."""

import argparse
import ast
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.drills._drill import SKIPPED

HERE = Path(__file__).parent
SHORT = 0.05
DEFAULT_BUDGET_S = 60.0
# For the short forms of all drills together: what they should take, told when they take longer,
# and what they may, since a machine that is busy with something else is no fault of theirs.
ALL_AIM_S = 900.0
ALL_BUDGET_S = 3600.0

NOT_YET: dict[str, str] = {}
"""Drills of work under way, left out of all, each with its reason."""


@dataclass(frozen=True)
class Entry:
    name: str
    module: str
    purpose: str
    budget_s: float  # of the short form

    def command(self, rest: list[str]) -> list[str]:
        return [sys.executable, "-m", self.module, *rest]


def entries() -> list[Entry]:
    """Every drill of this folder, by name, without importing any."""
    found: list[Entry] = []
    for path in sorted(HERE.glob("[a-z]*.py")):
        tree = ast.parse(path.read_text())
        purpose = (ast.get_docstring(tree) or "").partition("\n")[0]
        budget = DEFAULT_BUDGET_S
        for node in tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "BUDGET_S":
                budget = float(ast.literal_eval(node.value))
        name = path.stem.replace("_", "-")
        found.append(Entry(name, f"tests.drills.{path.stem}", purpose, budget))
    return found


def run_one(entry: Entry, rest: list[str], limit_s: float | None) -> tuple[int, dict[str, Any]]:
    """Run it, its output passed through; beyond the limit it is ended. Status and last line."""
    last = ""
    process = subprocess.Popen(
        entry.command(rest), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with process, _passing_signals(process), _limited(process, limit_s) as overrun:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
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
def _passing_signals(process: "subprocess.Popen[str]") -> "Generator[None]":
    """A signal to us goes to the drill, which cleans up and ends."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    old = {one: signal.signal(one, lambda got, _: process.send_signal(got)) for one in numbers}
    try:
        yield
    finally:
        for one, handler in old.items():
            signal.signal(one, handler)


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


def run_all(rest: list[str], scale: float) -> int:
    """Run every drill, one after another, and print what came of each."""
    began = time.monotonic()
    outcomes: dict[str, str] = {}
    for entry in entries():
        print(f"== {entry.name}: {entry.purpose}", flush=True)
        if entry.name in NOT_YET:
            outcomes[entry.name] = f"skipped: {NOT_YET[entry.name]}"
            continue
        limit = entry.budget_s * max(1.0, scale / SHORT)
        status, result = run_one(entry, rest, limit)
        first = result.get("error") or result.get("failed")
        if status not in (0, SKIPPED):
            # Bounds in seconds, on a machine that may have been busy: once more, and both are told.
            print(f"== {entry.name} once more, after: {first}", flush=True)
            status, result = run_one(entry, rest, limit)
        if status == SKIPPED:
            outcomes[entry.name] = f"skipped: {result.get('skipped')}"
        elif status == 0 and result.get("ok"):
            outcomes[entry.name] = "ok" if first is None else f"ok, at the second try: {first}"
        else:
            outcomes[entry.name] = f"FAILED: {result.get('error') or result.get('failed')}"
    seconds = time.monotonic() - began
    in_time = scale > SHORT or seconds <= ALL_BUDGET_S
    for name, outcome in outcomes.items():
        print(f"{name:20} {outcome}")
    ok = in_time and not any(outcome.startswith("FAILED") for outcome in outcomes.values())
    summary: dict[str, Any] = {"drills": len(outcomes), "ok": ok, "seconds": round(seconds, 1)}
    skipped = [name for name, outcome in outcomes.items() if outcome.startswith("skipped")]
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
    return run_one(chosen[0], rest, None)[0]


if __name__ == "__main__":
    sys.exit(main())
