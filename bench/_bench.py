"""Figures with their bounds and references, and what they are measured on."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.system.fleet import Server, cgroups
from tests.system.processes import ROOT

T = TypeVar("T")
LOAD = ROOT / "build" / "bench" / "load"


@dataclass(frozen=True)
class Figure:
    """One measured value; `holds` is None when no bound is set."""

    name: str
    value: float
    unit: str
    bound: str
    holds: bool | None
    reference: str
    """What stands beside it, with its value."""


class Bench:
    """One run: what is shared by measurements, and what they found."""

    def __init__(self, size: float) -> None:
        self.size = size
        self.figures: list[Figure] = []
        self._began = time.monotonic()
        self._cleanup = contextlib.ExitStack()

    def scaled(self, full: int, *, least: int = 1) -> int:
        """A count of the full form in the size of this run."""
        return max(least, round(full * self.size))

    def use(self, thing: contextlib.AbstractContextManager[T]) -> T:
        """Enter it now and leave it at the end, the last one first."""
        return self._cleanup.enter_context(thing)

    def close(self) -> None:
        self._cleanup.close()

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:8.2f}] {text}", flush=True)

    @contextlib.contextmanager
    def step(self, text: str) -> Generator[None]:
        """Print what is done and how long it took."""
        began = time.monotonic()
        self.say(text)
        yield
        self.say(f"{text}: done in {time.monotonic() - began:.2f} s")

    def figure(
        self,
        name: str,
        value: float,
        unit: str,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        reference: str = "",
    ) -> None:
        """Record a value in `unit`, its bound if it has one, and what it is compared with."""
        bound = f"<= {at_most:g}" if at_most is not None else ""
        holds = value <= at_most if at_most is not None else None
        if at_least is not None:
            bound, holds = f">= {at_least:g}", value >= at_least
        self.figures.append(Figure(name, _rounded(value), unit, bound, holds, reference))
        self.say(f"{name} = {_rounded(value):g} {unit} {bound} {reference}")

    def table(self) -> str:
        """The figures as a Markdown table."""
        rows = [("figure", "value", "bound", "holds", "beside it")]
        for one in self.figures:
            holds = "" if one.holds is None else "yes" if one.holds else "NO"
            rows.append((one.name, f"{one.value:g} {one.unit}", one.bound, holds, one.reference))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [
            "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
            for row in rows
        ]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join(lines)

    def json(self) -> str:
        """One line with everything, for machines."""
        failed = [one.name for one in self.figures if one.holds is False]
        figures = {one.name: asdict(one) for one in self.figures}
        return json.dumps({"ok": not failed, "machine": machine(), "figures": figures})


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def machine() -> str:
    """Processors, memory, kernel, and how busy the machine was with other things."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GB, {platform.system()} "
        f"{platform.release()}, load {load:.1f}"
    )


def memory_mb(processes: Sequence[int]) -> float:
    """Resident memory of processes together, in megabytes of 10^6 bytes."""
    total = 0
    for pid in processes:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return total / 1e6


def pids(server: Server, program: str) -> list[int]:
    """The processes of a program that run on a server, without the node's short-lived ones."""
    found: list[int] = []
    for pid in cgroups.pids(server.cgroup):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if Path(words[0].decode()).name == program and b"stdio" not in words:
                found.append(pid)
    return found


def processor_s(processes: Sequence[int]) -> float:
    """Seconds of a processor that these processes have used so far."""
    ticks = 0
    for pid in processes:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # utime and stime of proc(5)
    return ticks / os.sysconf("SC_CLK_TCK")


def go_first(processes: Sequence[int]) -> None:
    """Let processes go before others: a machine that also does other things is not measured."""
    for pid in processes:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(task.name), -19)


def build_load() -> Path:
    """Build the Go program that puts load on nodes and relays; nothing when it is fresh."""
    LOAD.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [ROOT / "tools" / "go", "build", "-trimpath", "-o", LOAD, "."],
        cwd=ROOT / "bench" / "load",
        env={**os.environ, "CGO_ENABLED": "0"},
        check=True,
    )
    return LOAD


def result_of(output: str) -> dict[str, Any]:
    """What the load program wrote."""
    return json.loads(output.splitlines()[-1])
