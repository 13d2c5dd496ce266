"""Admission at 1,000 a second, as derper asks, on a server with a hundred relays."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from bench._bench import Bench, build_load
from bench._crowd import Crowd
from bench._ground import Ground

RATE = 1000
LOAD = "/usr/local/bin/load"
BARE = "127.0.0.1:19000"


def measure(bench: Bench, ground: Ground) -> None:
    crowd = ground.crowd
    crowd.server.put(build_load(), LOAD)
    crowd.server.popen([LOAD, "answer", BARE], log="answer.log")
    seconds = 20 * bench.size
    with bench.step(f"{RATE} questions a second for {seconds:g} s, then the same to a bare server"):
        ours = _ask(crowd, _door(crowd), seconds)
        bare = _ask(crowd, f"http://{BARE}/", seconds)
    bench.figure("admission_wrong", ours["wrong"], "answers", at_most=0)
    bench.figure("admission_per_s", ours["per_s"], "/s", at_least=0.99 * RATE)
    beside = "a Go server that always says yes {} ms"
    for name, at_most in (("p50_ms", None), ("p99_ms", 5.0)):
        words = beside.format(bare[name])
        bench.figure(f"admission_{name}", ours[name], "ms", at_most=at_most, reference=words)


def _door(crowd: Crowd) -> str:
    """Where one of the relays asks: it was told so on its command line."""
    words = Path(f"/proc/{crowd.pids('derper')[0]}/cmdline").read_bytes().decode().split("\0")
    for word, following in itertools.pairwise(words):
        name, _, value = word.lstrip("-").partition("=")
        if name == "verify-client-url":
            return value or following
    raise AssertionError("the relay asks nobody")


def _ask(crowd: Crowd, url: str, seconds: float) -> dict[str, Any]:
    wish = {
        "url": url,
        "method": "POST",
        "body": json.dumps({"NodePublic": crowd.key, "Source": "192.0.2.7"}),
        "expect": '"Allow":true',
        "rate": RATE,
        "seconds": seconds,
    }
    done = crowd.server.run([LOAD, "ask"], text=json.dumps(wish), seconds=seconds + 60)
    return json.loads(done.stdout)
