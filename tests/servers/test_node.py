"""The protocol client, against a fake node and against nonsense."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from derpman.servers import node as nodes
from derpman.servers.errors import NodeError
from derpman.servers.node import NodeClient
from derpman.servers.transports.fake import FakeNode
from tests.servers.conftest import relay, run


async def client_of_raw() -> tuple[NodeClient, asyncio.StreamReader, asyncio.StreamWriter]:
    ours, theirs = socket.socketpair()
    client = NodeClient(*await asyncio.open_connection(sock=ours))
    return client, *await asyncio.open_connection(sock=theirs)


def test_hello_says_that_a_fake_is_one() -> None:
    async def main() -> None:
        client = await FakeNode().connect()
        hello = await client.hello()
        assert hello.runtime == "fake"
        assert hello.generation == 0
        await client.close()

    run(main)


def test_answers_find_their_questions_side_by_side() -> None:
    async def main() -> None:
        client, reader, writer = await client_of_raw()
        first = asyncio.create_task(client.call("one"))
        second = asyncio.create_task(client.call("two"))
        asked = [await reader.readline() for _ in range(2)]
        assert b'"one"' in asked[0]
        writer.write(b'{"id":2,"ok":true,"body":{"n":2}}\n{"id":1,"ok":true,"body":{"n":1}}\n')
        assert (await first, await second) == ({"n": 1}, {"n": 2})
        await client.close()
        writer.close()

    run(main)


def test_a_refusal_has_the_nodes_code_and_leaves_the_connection_usable() -> None:
    async def main() -> None:
        node = FakeNode()
        client = await node.connect()
        await client.apply({"generation": 5, "relays": []})
        with pytest.raises(NodeError) as refused:
            await client.apply({"generation": 4, "relays": []})
        assert refused.value.code == "apply.stale"
        assert await client.apply({"generation": 6, "relays": []}) == 6
        await client.close()

    run(main)


def test_a_node_that_hangs_costs_its_time_limit_only() -> None:
    async def main() -> None:
        node = FakeNode()
        client = await node.connect()
        node.faults.hangs = True
        with pytest.raises(NodeError) as hung:
            await client.call("hello", seconds=0.05)
        assert hung.value.code == "server.hangs"
        node.faults.hangs = False
        assert (await client.hello()).runtime == "fake"
        await client.close()

    run(main)


@pytest.mark.parametrize(
    "line",
    [
        b"not json\n",
        b"[]\n",
        b'{"ok":true}\n',
        b'{"id":"1","ok":true}\n',
        b"[" * 200_000 + b"\n",
        b'{"id":1,"ok":true,"body":{"generation":' + b"9" * 5000 + b"}}\n",
    ],
)
def test_nonsense_ends_the_connection_with_a_code(line: bytes) -> None:
    async def main() -> None:
        client, _, writer = await client_of_raw()
        asked = asyncio.create_task(client.call("hello"))
        await asyncio.sleep(0)
        writer.write(line)
        with pytest.raises(NodeError) as error:
            await asked
        assert error.value.code == "node.nonsense"
        await client.close()
        writer.close()

    run(main)


def test_a_line_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(b"x" * 200_000)
        with pytest.raises(NodeError):
            async for _ in nodes.lines(reader, limit=100_000):
                pass

    run(main)


def test_lines_arrive_whole_however_they_are_cut() -> None:
    async def main() -> None:
        reader = asyncio.StreamReader()
        for piece in (b"a", b"b\ncd", b"\n\ne", b"f\n"):
            reader.feed_data(piece)
        reader.feed_eof()
        assert [line async for line in nodes.lines(reader)] == [b"ab", b"cd", b"", b"ef"]

    run(main)


def test_a_broken_connection_fails_what_is_in_flight() -> None:
    async def main() -> None:
        node = FakeNode()
        client = await node.connect()
        await client.hello()
        node.faults.hangs = True
        asked = asyncio.create_task(client.call("hello"))

        async def first() -> object:
            return await anext(aiter(client.watch(None)))

        watched = asyncio.create_task(first())
        await asyncio.sleep(0.05)
        node.cut()
        for task in (asked, watched):
            with pytest.raises(NodeError) as error:
                await task
            assert error.value.code == "server.connection_lost"
        with pytest.raises(NodeError):
            await client.hello()
        await client.close()

    run(main)


def test_a_watch_goes_on_while_requests_are_answered() -> None:
    async def main() -> None:
        node = FakeNode()
        client = await node.connect()
        snapshots = aiter(client.watch(None))
        assert (await anext(snapshots))["relays"] == []
        await client.apply({"generation": 1, "relays": [relay(7)]})
        states = (await anext(snapshots))["relays"]
        assert [(row["id"], row["state"]) for row in states] == [(7, "ready")]
        await client.close()

    run(main)


@pytest.mark.parametrize(
    "change",
    [
        {"generation": -1},
        {"generation": 2**63},
        {"cursor": "x" * 1000},
        {"relays": [{"id": 0, "generation": 1, "state": "ready"}]},
        {"relays": [{"id": 1, "generation": 1, "state": "dancing"}]},
        {"knocks": [{"relay": 1, "key": "mkey:" + "0" * 64}]},
        {"host": {"load1": "NaN"}},
    ],
)
def test_a_snapshot_that_is_none_is_refused(change: dict[str, Any]) -> None:
    from derpman.servers import protocol

    with pytest.raises(NodeError) as error:
        protocol.read_snapshot({**FakeNode()._snapshot(None), **change})
    assert error.value.code == "node.nonsense"


def test_another_protocol_is_told() -> None:
    from derpman.servers import protocol

    with pytest.raises(NodeError) as error:
        protocol.read_hello({**FakeNode()._hello({}), "protocol": 2})
    assert error.value.code == "node.other_protocol"
