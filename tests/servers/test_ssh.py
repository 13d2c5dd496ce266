"""The SSH transport against a real SSH server on loopback: each trouble has its own code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncssh
import pytest

from derpman.servers.endpoints import Endpoint
from derpman.servers.errors import NodeError
from derpman.servers.models import Transport
from derpman.servers.transports import connect, ssh
from derpman.servers.transports.fake import FakeNode
from tests.servers.conftest import relay, run

HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
OUR_KEY = asyncssh.generate_private_key("ssh-ed25519")
Handler = Callable[[asyncssh.SSHServerProcess[bytes]], Any]


def public(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()


@dataclass
class Server:
    endpoint: Endpoint
    acceptor: asyncssh.SSHAcceptor


def speaks_for(node: FakeNode) -> Handler:
    """The forced command of a server whose node this is."""

    async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        reader, writer = await node.open()

        async def inwards() -> None:
            while data := await process.stdin.read(65536):
                writer.write(data)

        async def outwards() -> None:
            while data := await reader.read(65536):
                process.stdout.write(data)

        halves = [asyncio.create_task(half()) for half in (inwards, outwards)]
        try:
            await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for half in halves:
                half.cancel()
            writer.close()
            process.exit(0)

    return handle


def says(text: bytes, status: int) -> Handler:
    async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stderr.write(text)
        process.exit(status)

    return handle


@asynccontextmanager
async def sshd(
    handler: Handler, *, host_key: asyncssh.SSHKey = HOST_KEY, allowed: asyncssh.SSHKey = OUR_KEY
) -> AsyncGenerator[Server]:
    acceptor = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=asyncssh.import_authorized_keys(public(allowed)),
        process_factory=handler,
        encoding=None,
    )
    endpoint = Endpoint(
        server_id=1,
        transport=Transport.SSH,
        ip="127.0.0.1",
        ssh_port=acceptor.get_port(),
        host_key=public(HOST_KEY),
        ssh_key=OUR_KEY.export_private_key().decode(),
    )
    try:
        yield Server(endpoint, acceptor)
    finally:
        acceptor.close()
        await acceptor.wait_closed()


async def trouble(endpoint: Endpoint) -> str:
    """Connect and ask; return the code of what goes wrong."""

    async def ask() -> None:
        client = await connect(endpoint)
        try:
            await client.hello()
        finally:
            await client.close()

    with pytest.raises(NodeError) as error:
        await ask()
    return error.value.code


def test_the_protocol_runs_through_ssh() -> None:
    async def main() -> None:
        node = FakeNode()
        async with sshd(speaks_for(node)) as server:
            client = await connect(server.endpoint)
            assert (await client.hello()).runtime == "fake"
            many = [relay(number, certificate="x" * 1500) for number in range(1, 1001)]
            assert await client.apply({"generation": 3, "relays": many}) == 3
            snapshot = await client.snapshot()
            assert len(snapshot.relays) == 1000
            await client.close()
        assert len(node.relays) == 1000

    run(main)


def test_another_host_key_is_not_talked_to() -> None:
    async def main() -> None:
        other = asyncssh.generate_private_key("ssh-ed25519")
        async with sshd(says(b"", 0), host_key=other) as server:
            assert await trouble(server.endpoint) == "server.host_key_changed"

    run(main)


def test_a_host_key_of_another_kind_is_a_changed_one() -> None:
    async def main() -> None:
        other = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
        async with sshd(says(b"", 0), host_key=other) as server:
            assert await trouble(server.endpoint) == "server.host_key_changed"

    run(main)


def test_a_key_that_is_not_accepted() -> None:
    async def main() -> None:
        other = asyncssh.generate_private_key("ssh-ed25519")
        async with sshd(says(b"", 0), allowed=other) as server:
            assert await trouble(server.endpoint) == "server.auth_failed"

    run(main)


def test_a_closed_port() -> None:
    async def main() -> None:
        async with sshd(says(b"", 0)) as server:
            endpoint = server.endpoint
        assert await trouble(endpoint) == "server.refused"

    run(main)


def test_a_server_that_accepts_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "LOGIN_SECONDS", 0.2)

    async def main() -> None:
        ended = asyncio.Event()

        async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await ended.wait()
            writer.close()

        listener = await asyncio.start_server(silent, "127.0.0.1", 0)
        async with sshd(says(b"", 0)) as server:
            port = listener.sockets[0].getsockname()[1]
            endpoint = Endpoint(**{**vars(server.endpoint), "ssh_port": port})
            assert await trouble(endpoint) == "server.hangs"
        ended.set()
        listener.close()
        await listener.wait_closed()

    run(main)


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        (b"sh: 1: /usr/local/bin/derpman-node: not found\n", 127, "server.node_missing"),
        (b"no daemon on /run/derpman/node.sock\n", 1, "server.node_down"),
    ],
)
def test_a_node_that_is_not_there(text: bytes, status: int, code: str) -> None:
    async def main() -> None:
        async with sshd(says(text, status)) as server:
            assert await trouble(server.endpoint) == code

    run(main)


def test_a_connection_that_breaks_fails_what_is_in_flight() -> None:
    async def main() -> None:
        node = FakeNode()
        async with sshd(speaks_for(node)) as server:
            client = await connect(server.endpoint)
            await client.hello()
            node.faults.hangs = True
            asked = asyncio.create_task(client.call("hello"))
            await asyncio.sleep(0.05)
            node.cut()
            with pytest.raises(NodeError):
                await asked
            await client.close()

    run(main)


def test_the_private_key_is_not_shown() -> None:
    endpoint = Endpoint(server_id=1, transport=Transport.SSH, ip="192.0.2.1", ssh_key="SECRET")
    assert "SECRET" not in repr(endpoint)
