"""Admission at 1,000 a second, as derper asks, on a server with a hundred relays."""

from __future__ import annotations

import itertools
import json
import statistics
from pathlib import Path
from typing import Any

from bench._bench import Bench, build_load, go_first, processor_s
from bench._crowd import Crowd
from bench._ground import Ground
from tests.system.processes import wait_until

RATE = 1000
TURN_S = 2.0
P99_MS = 5.0
NOISE = 1.5
LOAD = "/usr/local/bin/load"
BARE = "127.0.0.1:19000"


def measure(bench: Bench, ground: Ground) -> None:
    crowd = ground.crowd
    crowd.server.put(build_load(), LOAD)
    crowd.server.popen([LOAD, "answer", BARE], log="answer.log")
    wait_until(lambda: crowd.pids("load"), 10, "the bare server runs")
    node, other = crowd.pids("derpman-node"), crowd.pids("load")
    go_first([*node, *other])
    rounds = bench.scaled(10, least=2)
    ours: list[dict[str, Any]] = []
    bare: list[dict[str, Any]] = []
    used = [0.0, 0.0]
    with bench.step(f"{rounds} times {TURN_S:g} s to the node and to a bare server, in turns"):
        for _ in range(rounds):
            began = processor_s(node)
            ours.append(_ask(crowd, _door(crowd)))
            used[0] += processor_s(node) - began
            began = processor_s(other)
            bare.append(_ask(crowd, f"http://{BARE}/"))
            used[1] += processor_s(other) - began
    bench.figure("admission_wrong", sum(one["wrong"] for one in ours), "answers", at_most=0)
    bench.figure("admission_per_s", _median(ours, "per_s"), "/s", at_least=0.99 * RATE)
    words = "a Go server that always says yes {:.3g} ms"
    p50, least = _median(ours, "p50_ms"), _median(bare, "p50_ms")
    bench.figure("admission_p50_ms", p50, "ms", reference=words.format(least))
    # On a machine too busy even for that: no slower than what does nothing at all.
    p99, least = _median(ours, "p99_ms"), _median(bare, "p99_ms")
    at_most = max(P99_MS, NOISE * least)
    bench.figure("admission_p99_ms", p99, "ms", at_most=at_most, reference=words.format(least))

    each, least = (1e6 * one / (rounds * RATE * TURN_S) for one in used)
    words = f"that Go server {least:.0f} µs"
    bench.figure("admission_processor_us", each, "µs", reference=words)


def _median(rounds: list[dict[str, Any]], name: str) -> float:
    return statistics.median(one[name] for one in rounds)


def _door(crowd: Crowd) -> str:
    """Where one of the relays asks: it was told so on its command line."""
    words = Path(f"/proc/{crowd.pids('derper')[0]}/cmdline").read_bytes().decode().split("\0")
    for word, following in itertools.pairwise(words):
        name, _, value = word.lstrip("-").partition("=")
        if name == "verify-client-url":
            return value or following
    raise AssertionError("the relay asks nobody")


def _ask(crowd: Crowd, url: str) -> dict[str, Any]:
    wish = {
        "url": url,
        "method": "POST",
        "body": json.dumps({"NodePublic": crowd.key, "Source": "192.0.2.7"}),
        "expect": '"Allow":true',
        "rate": RATE,
        "seconds": TURN_S,
    }
    done = crowd.server.run(["nice", "-n", "-19", LOAD, "ask"], text=json.dumps(wish), seconds=60)
    return json.loads(done.stdout)
