"""The longest silence a user would notice: something small, asked of a peer over and over.

usage: python -m tests.system.gap SECONDS PEER_IP PEER_PORT [PROXY_PORT]
"""

import json
import sys
import threading
import time
from dataclasses import asdict, dataclass

from tests.system import socks
from tests.system.tailnet import Client


@dataclass(frozen=True)
class Gap:
    answered: int
    failed: int
    longest_gap_s: float


class Probe:
    """Asks until it is stopped; the silence before the first answer and after the last counts."""

    def __init__(self, peer: str, port: int, proxy: tuple[str, int]) -> None:
        self._target = (proxy, peer, port)
        self._stop = threading.Event()
        self._answered = self._failed = 0
        self._longest = 0.0
        self._last = time.monotonic()

    def run(self, seconds: float | None = None) -> Gap:
        """Ask until `stop`, or for so long; the place to call it is the client's network."""
        end = None if seconds is None else time.monotonic() + seconds
        self._last = time.monotonic()
        while not self._stop.is_set() and (end is None or time.monotonic() < end):
            try:
                self._ask()
            except OSError:
                self._failed += 1
            else:
                now = time.monotonic()
                self._longest, self._last = max(self._longest, now - self._last), now
                self._answered += 1
            self._stop.wait(0.05)
        return self.result()

    def stop(self) -> None:
        self._stop.set()

    def result(self) -> Gap:
        longest = max(self._longest, time.monotonic() - self._last)
        return Gap(self._answered, self._failed, round(longest, 2))

    def _ask(self) -> None:
        with socks.connect(*self._target, timeout=2) as conn:
            conn.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
            if not conn.recv(100):
                raise OSError("no answer")


class Watch:
    """Probes one client from another while something happens: `with Watch(a, b) as watch: …`."""

    def __init__(self, client: Client, peer: Client) -> None:
        port = peer.serve()
        self._probe = Probe(peer.ip, port, client.proxy)
        self._thread = threading.Thread(
            target=client.machine.call, args=(self._probe.run,), daemon=True
        )
        self.gap = Gap(0, 0, 0.0)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def so_far(self) -> Gap:
        return self._probe.result()

    def __exit__(self, *_: object) -> None:
        self.gap = self._probe.result()
        self._probe.stop()
        self._thread.join(10)


def main() -> None:
    seconds, peer, port = float(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    proxy = int(sys.argv[4]) if len(sys.argv) > 4 else 1055
    print(json.dumps(asdict(Probe(peer, port, ("127.0.0.1", proxy)).run(seconds))))


if __name__ == "__main__":
    main()
