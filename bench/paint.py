"""When the largest thing of a page is painted in Chromium, its processor slowed down four times.

Each page is opened in a browser that never saw it, on loopback, from the demo with its three nodes.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess

from bench._bench import Bench
from bench._ground import Ground
from tests.system.processes import ROOT, Impossible
from tests.system.website import website

ROUNDS = 5
BOUND_S = 2.0


def measure(bench: Bench, _ground: Ground) -> None:
    if not (ROOT / "web" / "dist" / "index.html").exists():
        raise Impossible("the pages are not built: tools/setup.sh web")
    if shutil.which("chromium") is None and "WEB_CHROMIUM" not in os.environ:
        raise Impossible("there is no Chromium: tools/setup.sh debian")
    rounds = bench.scaled(ROUNDS)
    with bench.step(f"six pages, {rounds} times each"), website() as known:
        done = subprocess.run(
            ["node", "scripts/paint.mjs", str(rounds)],
            cwd=ROOT / "web",
            env=os.environ | known,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(done.stderr)
    for line in done.stdout.splitlines():
        seen = json.loads(line)
        milliseconds: list[int] = seen["ms"]
        bench.figure(
            f"largest_paint_{seen['page']}_s",
            statistics.median(milliseconds) / 1000,
            "s",
            at_most=BOUND_S,
            reference=f"slowest of {rounds}: {max(milliseconds) / 1000:.2f}",
        )
