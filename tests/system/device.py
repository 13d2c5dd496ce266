"""A real Tailscale client on this machine, in a tailnet of its own.

    python -m tests.system.device

reads a tailcfg.DERPMap as JSON from the first line of its input, prints the client's node key, then
a line for every change: `in` while it is connected to its home relay, else `out`. It ends when its
input does.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

from tests.system.services import free_port
from tests.system.tailnet import Client, Control, Here

LOOK_SECONDS = 0.5
START_SECONDS = 60


def main() -> None:
    """Run the client until somebody closes our input."""
    derp_map = json.loads(sys.stdin.readline())
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="derpman-device-"))
        here = Here("device", Path(folder))
        control = Control(here, port=free_port(), admin_port=free_port())
        stack.callback(control.stop)
        control.push(derp_map)
        client = Client(here, control, port=free_port())
        stack.callback(client.stop)
        client.up()
        print(client.key, flush=True)
        seen = ""
        while not over.wait(LOOK_SECONDS):
            state = "in" if client.is_connected() else "out"
            if state != seen:
                print(state, flush=True)
            seen = state


if __name__ == "__main__":
    main()
