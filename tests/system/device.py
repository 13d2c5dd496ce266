"""A device that tries a relay again and again, as Tailscale's clients do.

    python -m tests.system.device ADDRESS PORT PIN

prints its node key, then a line for every change: `in` or `refused`. It ends when its input does.
"""

from __future__ import annotations

import sys
import threading
import time

from tests.system.derp import Derp, Refused, new_key, node_key

PAUSE_SECONDS = 1.0


def main() -> None:
    """Knock until somebody closes our input."""
    address, port, pin = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    key = new_key()
    print(node_key(key), flush=True)
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    seen = ""
    while not over.is_set():
        try:
            with Derp(address, port, key, pin=pin) as derp:
                seen = _tell("in", seen)
                while not over.is_set():
                    derp.ping()
                    time.sleep(PAUSE_SECONDS)
        except (Refused, EOFError, OSError):
            seen = _tell("refused", seen)
            over.wait(PAUSE_SECONDS)


def _tell(state: str, seen: str) -> str:
    if state != seen:
        print(state, flush=True)
    return state


if __name__ == "__main__":
    main()
