"""Builds what runs on servers: the node, stock derper, and the relay image's archive."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DERPER = "tailscale.com/cmd/derper"  # the version is pinned in node/go.mod


@dataclass(frozen=True)
class BuildStep:
    """One program to build, with the words that a progress bar shows."""

    words: str
    command: list[str]


class BuildFailed(Exception):
    """The Go tool chain said no; its own words are the message."""


def steps(source: Path, out: Path, go: str) -> list[BuildStep]:
    """Return what must be built from the Go module in `source` into the folder `out`."""
    out = out.resolve()
    build = [go, "-C", str(source), "build", "-trimpath", "-ldflags", "-s -w", "-o"]
    return [
        BuildStep("stock derper", [*build, str(out / "derper"), DERPER]),
        BuildStep("derpman-node", [*build, str(out / "derpman-node"), "./cmd/derpman-node"]),
        BuildStep("relay-image", [*build, str(out / "relay-image"), "./cmd/relay-image"]),
        BuildStep(
            "relay image",
            [
                str(out / "relay-image"),
                "-derper",
                str(out / "derper"),
                "-output",
                str(out / "relay-image.tar"),
            ],
        ),
    ]


def build(source: Path, out: Path, go: str) -> Iterator[BuildStep]:
    """Run the steps, yielding each before it runs; raise BuildFailed at the first that fails."""
    out.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "CGO_ENABLED": "0"}
    for step in steps(source, out, go):
        yield step
        done = subprocess.run(
            step.command, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise BuildFailed(f"{step.words}: {done.stderr.strip()[-2000:]}")
