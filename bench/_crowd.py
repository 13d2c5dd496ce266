"""A server whose node runs a hundred relays in Docker; no panel, the node protocol alone."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench._bench import pids
from derpman.containers import certificates
from derpman.servers.node import NodeClient
from derpman.servers.release import built_image, message, send_image
from tests.drills._panel import BUILD
from tests.system import derp
from tests.system.fleet import Server
from tests.system.processes import wait_until

NODE = "/usr/local/bin/derpman-node"
SOCKET = "/run/derpman/node.sock"
FIRST_PORT = 20000


@dataclass(frozen=True)
class Crowd:
    """The server, its node's process, and a device that each relay lets in."""

    server: Server
    key: str
    relays: int

    def pids(self, program: str) -> list[int]:
        """The processes of a program that run on the server, without short-lived ones."""
        return pids(self.server, program)

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncGenerator[NodeClient]:
        """A connection to the node as the panel has it: over SSH."""
        words = self.server.ssh_argv(NODE, "stdio", "--socket", SOCKET)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
        assert process.stdin is not None
        assert process.stdout is not None
        client = NodeClient(process.stdout, process.stdin)
        try:
            yield client
        finally:
            await client.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def start(server: Server, relays: int) -> Crowd:
    """Install the node by hand, give it the image, and have it run so many relays."""
    server.put(BUILD / "derpman-node", NODE)
    release = Ed25519PrivateKey.generate()
    public = base64.b64encode(release.public_key().public_bytes_raw()).decode()
    server.popen(
        [
            *(NODE, "serve", "--runtime", "docker", "--docker-host", "unix:///run/docker.sock"),
            *("--state", "/var/lib/derpman", "--socket", SOCKET, "--release-key", public),
            *("--ports", f"{FIRST_PORT}-{FIRST_PORT + 999}", "--group", "root"),
        ],
        log="node.log",
    )
    crowd = Crowd(server, derp.node_key(derp.new_key()), relays)
    wait_until(lambda: server.run(["test", "-S", SOCKET], check=False).returncode == 0, 20, "node")
    asyncio.run(_fill(crowd, release))
    return crowd


async def _fill(crowd: Crowd, release: Ed25519PrivateKey) -> None:
    image = built_image(BUILD)
    assert image is not None, "the relay image was not built"
    signature = base64.b64encode(release.sign(message(image.label, image.sha256))).decode()
    async with crowd.connected() as node:
        await send_image(node, image.signed(signature))
        wanted = [_relay(crowd, number) for number in range(1, crowd.relays + 1)]
        await node.apply({"generation": 1, "relays": wanted})
        async with asyncio.timeout(300):
            while True:
                seen = (await node.snapshot()).relays
                if sum(one.state == "ready" for one in seen) == crowd.relays:
                    return
                await asyncio.sleep(0.2)


def _relay(crowd: Crowd, number: int) -> dict[str, Any]:
    made = certificates.make(crowd.server.address, datetime.now(UTC))
    port = FIRST_PORT + number
    return {
        "id": number,
        "generation": 1,
        "address": crowd.server.address,
        "port": port,
        "stun_port": port,
        "certificate": made.certificate,
        "private_key": made.private_key,
        "mesh_key": secrets.token_hex(32),
        "running": True,
        "expires_at": None,
        "rate_bytes_per_second": 0,
        "quota": None,
        "devices": [{"key": crowd.key, "not_after": None}],
    }
