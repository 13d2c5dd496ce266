"""The counters of a server with a hundred relays: one round trip; and what they cost in memory."""

from __future__ import annotations

import asyncio
import json
import statistics
import time

from bench._bench import Bench, memory_mb, processor_s
from bench._crowd import Crowd
from bench._ground import Ground
from tests.drills._panel import timed


def measure(bench: Bench, ground: Ground) -> None:
    crowd = ground.crowd
    rounds = bench.scaled(100, least=10)
    with bench.step(f"read the counters of {crowd.relays} relays {rounds} times over SSH"):
        took, size = asyncio.run(_read(crowd, rounds))
    with bench.step("the same by `docker stats`"):
        docker = timed(lambda: crowd.server.ssh("docker stats --no-stream --format '{{json .}}'"))
    beside = f"`docker stats` {docker:.2f} s; {crowd.relays} relays, answer of {size / 1000:.0f} kB"
    bench.figure("counters_s", statistics.median(took), "s", at_most=0.1, reference=beside)
    bench.figure("counters_p99_s", sorted(took)[len(took) * 99 // 100], "s")

    seconds = 20 * bench.size
    with bench.step(f"see how busy the node is for {seconds:g} s"):
        before = processor_s(crowd.pids("derpman-node"))
        time.sleep(seconds)
        busy = processor_s(crowd.pids("derpman-node")) - before
    bench.figure("node_processor_share", busy / seconds, "of a core")

    relays = crowd.pids("derper")
    beside = f"{len(relays)} relays, {memory_mb(relays) / len(relays):.1f} MB each"
    node = memory_mb(crowd.pids("derpman-node"))
    bench.figure("node_memory_mb", node, "MB", at_most=60, reference=beside)


async def _read(crowd: Crowd, rounds: int) -> tuple[list[float], int]:
    took: list[float] = []
    async with crowd.connected() as node:
        cursor = (await node.snapshot()).cursor
        for _ in range(rounds):
            began = time.monotonic()
            answer = await node.snapshot(cursor)
            took.append(time.monotonic() - began)
            cursor = answer.cursor
        size = len(json.dumps(await node.call("snapshot", {"cursor": cursor})))
    return took, size
