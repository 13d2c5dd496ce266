"""What every drill is made of: arguments, steps, figures with their bounds, a clean end.

A drill is a module of this folder whose docstring's first line says what it shows:

    BUDGET_S = 60  # its short form must end within this

    def play(drill: Drill) -> None:
        fleet = drill.use(Fleet())
        with drill.step("activate"):
            ...
        drill.figure("activation_s", seconds, at_most=3)

    if __name__ == "__main__":
        program(play)
"""

import argparse
import contextlib
import json
import math
import os
import random
import secrets
import signal
import sys
import time
import traceback
from collections.abc import Callable, Generator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

from tests.system.processes import Impossible

T = TypeVar("T")
Value = float | str | bool | list[Any] | dict[str, Any] | None
SKIPPED = 77  # exit status when the machine cannot run the drill


class Ended(BaseException):
    """A signal asked the drill to end; what it set up is taken down on the way out."""


class Drill:
    """One run of a drill."""

    def __init__(self, name: str, *, seed: int, scale: float) -> None:
        self.name = name
        self.seed = seed
        self.scale = scale
        self.random = random.Random(seed)
        self.figures: dict[str, Value] = {}
        self.failed: list[str] = []
        self._began = time.monotonic()
        self._cleanup = contextlib.ExitStack()

    def scaled(self, full: int, *, least: int = 1) -> int:
        """A count of the full form in the size of this run."""
        return max(least, round(full * self.scale))

    def use(self, thing: contextlib.AbstractContextManager[T]) -> T:
        """Enter it now and leave it at the end, the last one first."""
        return self._cleanup.enter_context(thing)

    def finally_(self, action: Callable[[], object]) -> None:
        """Call it at the end, whatever happens."""
        self._cleanup.callback(action)

    def seconds(self) -> float:
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        print(f"[{self.seconds():8.2f}] {text}", flush=True)

    @contextlib.contextmanager
    def step(self, text: str) -> "Generator[None]":
        """Print what is done and how long it took."""
        self.say(text)
        began = time.monotonic()
        yield
        self.say(f"{text}: done in {time.monotonic() - began:.2f} s")

    def figure(
        self,
        name: str,
        value: Value,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        equals: Value = None,
    ) -> None:
        """Record a figure; outside a bound the drill fails, and goes on."""
        if isinstance(value, float):
            value = round(value, 4)
        self.figures[name] = value
        number = value if isinstance(value, int | float) else math.nan  # fits no bound
        bounds: dict[str, bool] = {}
        if at_most is not None:
            bounds[f"<= {at_most:g}"] = number <= at_most
        if at_least is not None:
            bounds[f">= {at_least:g}"] = number >= at_least
        if equals is not None:
            bounds[f"== {equals}"] = value == equals
        if not all(bounds.values()):
            self.failed.append(name)
        told = [f"{text}: {'holds' if ok else 'DOES NOT HOLD'}" for text, ok in bounds.items()]
        self.say("   ".join([f"{name} = {value}", *told]))

    def check(self, name: str, holds: bool, why: str = "") -> None:
        """A claim that must be true; `why` is printed when it is not."""
        self.figure(name, holds, equals=True)
        if not holds and why:
            self.say(f"  {why}")

    def close(self) -> None:
        """Take down what was set up, all of it, even if one part refuses."""
        self._cleanup.close()


def program(play: Callable[[Drill], None]) -> NoReturn:
    """Run the drill as a program; the last line is its JSON, the exit status follows `ok`."""
    main = sys.modules["__main__"]
    name = Path(str(main.__file__)).stem.replace("_", "-")
    args = _arguments(name, (main.__doc__ or "").partition("\n")[0])
    drill = Drill(name, seed=args.seed, scale=args.scale)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _end)
    drill.say(f"drill {name}, seed {drill.seed}, scale {drill.scale:g}")
    problem, status = _play(play, drill)
    result = {"drill": name, "ok": status == 0, "seed": drill.seed, "scale": drill.scale}
    result |= {"seconds": round(drill.seconds(), 2)} | drill.figures
    if drill.failed:
        result["failed"] = drill.failed
    if problem:
        result["skipped" if status == SKIPPED else "error"] = problem
    print(json.dumps(result, ensure_ascii=False), flush=True)
    sys.exit(status)


def _play(play: Callable[[Drill], None], drill: Drill) -> tuple[str, int]:
    """What went wrong, if anything, and the exit status."""
    problem, status = "", 0
    try:
        play(drill)
    except Impossible as error:
        problem, status = str(error), SKIPPED
    except Ended as error:
        traceback.print_exc()  # what it hung in, if it was ended because it took too long
        problem, status = f"ended by {error}", 1
    except Exception as error:  # noqa: BLE001 - whatever it was, it is told and cleaned up
        traceback.print_exc()
        problem, status = f"{type(error).__name__}: {error}", 1
    try:
        drill.close()
    except (Ended, Exception) as error:  # noqa: BLE001 - as above
        traceback.print_exc()
        problem, status = problem or f"cleaning up: {type(error).__name__}: {error}", 1
    return problem, 1 if drill.failed and status == 0 else status


def _end(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough; the clean-up is not to be cut short
    raise Ended(signal.Signals(number).name)


def _arguments(name: str, purpose: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"drill {name}", description=purpose)
    seed = os.environ.get("SEED") or secrets.randbelow(1 << 31)
    parser.add_argument("--seed", type=int, default=int(seed), help="repeat a run")
    scale = float(os.environ.get("SCALE") or 1)
    parser.add_argument("--scale", type=float, default=scale, help="0.05 is the short form")
    return parser.parse_args()
