"""A link to the real node with real derper processes, over its socket."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from derpman.containers import certificates
from derpman.kit.clock import utc_now
from derpman.servers.models import Transport
from tests.servers.conftest import World, relay, run, until

BUILD = Path(os.environ.get("DERPMAN_BUILD_DIR", "build"))
NODE, DERPER = BUILD / "derpman-node", BUILD / "derper"
pytestmark = pytest.mark.skipif(
    not (NODE.exists() and DERPER.exists()), reason="derpman node build has not been run"
)


class RealNode:
    """One node process of our own."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "node.sock"
        self.port = _free_port()
        self._command = [
            *(str(NODE.resolve()), "serve", "--runtime", "process"),
            *("--derper", str(DERPER.resolve()), "--state", str(folder / "state")),
            *("--socket", str(self.socket), "--ports", f"{self.port}-{self.port}"),
        ]
        self.log = folder / "node.log"
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stderr=log, stdin=subprocess.DEVNULL)
        return self.process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def relay(self) -> dict[str, object]:
        certificate = certificates.make("127.0.0.1", utc_now())
        return relay(
            1,
            address="127.0.0.1",
            port=self.port,
            stun_port=self.port,
            certificate=certificate.certificate,
            private_key=certificate.private_key,
            mesh_key=secrets.token_hex(32),
            expires_at=None,
            rate_bytes_per_second=0,
            quota=None,
        )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def real_node(tmp_path: Path) -> Iterator[RealNode]:
    node = RealNode(tmp_path)
    yield node
    node.kill()
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):  # a failed test's relays outlive the node
        with contextlib.suppress(OSError):
            if str(tmp_path).encode() in cmdline.read_bytes():
                os.kill(int(cmdline.parent.name), signal.SIGKILL)


def test_a_relay_is_started_watched_and_removed(
    world: World, add_server: Callable[..., int], real_node: RealNode
) -> None:
    server_id = add_server(transport=Transport.LOCAL, socket_path=str(real_node.socket))

    async def main() -> None:
        async with world.running(world.fleet()) as fleet:
            await until(lambda: world.link(server_id).runtime == "process")
            began = time.monotonic()
            world.want(server_id, real_node.relay())
            await until(lambda: world.panel.states(server_id) == {1: "ready"})
            print(f"wanted to ready: {time.monotonic() - began:.3f} s")

            real_node.kill()
            real_node.start()
            seen = len(world.panel.seen)
            await until(lambda: len(world.panel.seen) > seen)
            await until(lambda: world.panel.states(server_id) == {1: "ready"})

            world.want(server_id)
            await until(lambda: any(1 in one["removed"] for _, one in world.panel.seen[seen:]))
            assert fleet.links[server_id].silent_seconds < 20

    run(main)
