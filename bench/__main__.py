"""Measure the figures of the design: python -m bench [NAME …] [--size 0.1]."""

from __future__ import annotations

import argparse
import sys

from bench import (
    activation,
    admission,
    counters,
    expiry,
    metering,
    money,
    monitoring,
    paint,
    requests,
    throughput,
)
from bench._bench import Bench, machine
from bench._ground import Ground
from tests.system.processes import Impossible

MEASUREMENTS = {
    "activation": activation.measure,
    "throughput": throughput.measure,
    "counters": counters.measure,
    "admission": admission.measure,
    "expiry": expiry.measure,  # before what fills this process, whose memory it tells
    "metering": metering.measure,
    "money": money.measure,
    "monitoring": monitoring.measure,
    "requests": requests.measure,
    "paint": paint.measure,
}
SKIPPED = 77


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--size", type=float, default=1.0, help="0.1 is a quick look")
    args = parser.parse_args()
    if unknown := set(args.names) - set(MEASUREMENTS):
        parser.error(f"no measurement {', '.join(sorted(unknown))}")
    bench = Bench(args.size)
    ground = Ground(bench)
    bench.say(f"on {machine()}")
    try:
        for name in args.names or MEASUREMENTS:
            MEASUREMENTS[name](bench, ground)
    except Impossible as error:
        bench.say(f"not on this machine: {error}")
        return SKIPPED
    finally:
        bench.close()
    print(f"\n{bench.table()}\n\n{bench.json()}", flush=True)
    return 1 if any(one.holds is False for one in bench.figures) else 0


if __name__ == "__main__":
    sys.exit(main())
