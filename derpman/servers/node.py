"""The panel's end of the node protocol, over any stream of bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from derpman.servers import protocol
from derpman.servers.errors import NodeError
from derpman.servers.protocol import MAX_LINE_BYTES, Hello, ProbeResult, Snapshot

ANSWER_SECONDS = 10.0
SILENCE_SECONDS = 15.0
"""A watched node says something every five seconds; after this long it counts as hung."""
EXPLAIN_SECONDS = 3.0
STREAM_BYTES = 4 * MAX_LINE_BYTES
"""What may wait for a reader that is slower than the node."""


class Reader(Protocol):
    async def read(self, n: int = -1, /) -> bytes: ...


class Writer(Protocol):
    def write(self, data: bytes, /) -> None: ...
    async def drain(self) -> None: ...
    def close(self) -> None: ...


async def lines(reader: Reader, limit: int = MAX_LINE_BYTES) -> AsyncIterator[bytes]:
    """Yield the lines of a stream; NodeError when one is longer than `limit` bytes."""
    pending = bytearray()
    searched = 0
    while chunk := await reader.read(65536):
        pending += chunk
        while (end := pending.find(b"\n", searched)) >= 0:
            yield bytes(pending[:end])
            del pending[: end + 1]
            searched = 0
        searched = len(pending)
        if searched > limit:
            raise NodeError("node.nonsense", f"a line of more than {limit} bytes")


class _Stream:
    """Snapshots on their way from the connection to whoever watches."""

    def __init__(self) -> None:
        self.waiting: list[tuple[dict[str, Any], int]] = []
        self.bytes = 0
        self.error: NodeError | None = None
        self.news = asyncio.Event()

    def put(self, event: dict[str, Any], size: int) -> None:
        self.waiting.append((event, size))
        self.bytes += size
        self.news.set()

    def end(self, error: NodeError) -> None:
        self.error = error
        self.news.set()

    async def get(self) -> dict[str, Any]:
        while not self.waiting:
            if self.error is not None:
                raise self.error
            self.news.clear()
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    await self.news.wait()
            except TimeoutError:
                raise NodeError("server.hangs", "the node fell silent") from None
        event, size = self.waiting.pop(0)
        self.bytes -= size
        return event


class NodeClient:
    """One connection to a node. Requests may be in flight side by side; each has a time limit.

    Every failure is a NodeError: of the node itself (its own code), or of the connection, which
    is of no use afterwards.
    """

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        *,
        explain: Callable[[], Awaitable[NodeError]] | None = None,
        on_close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Speak over `reader` and `writer`; `explain` may say why the stream ended."""
        self._reader = reader
        self._writer = writer
        self._explain = explain
        self._on_close = on_close
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._streams: dict[int, _Stream] = {}
        self._writing = asyncio.Lock()
        self._lost: NodeError | None = None
        self._listener = asyncio.create_task(self._listen(), name="node-listener")

    async def call(
        self, verb: str, body: Mapping[str, Any] | None = None, *, seconds: float = ANSWER_SECONDS
    ) -> dict[str, Any]:
        """Ask and return the answer's body."""
        number, answer = self._expect()
        try:
            return await self._ask(number, answer, verb, body or {}, seconds)
        finally:
            self._forget(number)

    async def hello(self) -> Hello:
        """Return who the node is; NodeError when it speaks another protocol."""
        return protocol.read_hello(await self.call("hello"))

    async def apply(self, wanted: Mapping[str, Any]) -> int:
        """Hand over the whole desired state; return the generation that the node confirmed."""
        answer = await self.call("apply", wanted, seconds=20)
        if answer.get("generation") != wanted["generation"]:
            raise NodeError("node.nonsense", "apply confirmed another generation")
        return wanted["generation"]

    async def snapshot(self, cursor: str | None = None) -> Snapshot:
        """Return the whole observed state, with what happened since `cursor`."""
        return protocol.read_snapshot(await self.call("snapshot", {"cursor": cursor}))

    async def probe(
        self, targets: Sequence[Mapping[str, Any]], *, timeout_ms: int = 3000
    ) -> list[ProbeResult]:
        """Return what this server sees of others, in the order asked."""
        body = {"targets": list(targets), "timeout_ms": timeout_ms}
        return protocol.read_probe(await self.call("probe", body, seconds=30))

    async def listen(self, ports: Sequence[int], token: str, *, seconds: int) -> None:
        """Have echo listeners opened on ports that no relay uses."""
        await self.call("listen", {"ports": list(ports), "token": token, "seconds": seconds})

    async def watch(self, cursor: str | None) -> AsyncIterator[dict[str, Any]]:
        """Yield observed states as they come, the first one whole; ends with a NodeError only.

        Each was checked to be a snapshot.
        """
        number, answer = self._expect()
        stream = self._streams[number] = _Stream()
        try:
            await self._ask(number, answer, "watch", {"cursor": cursor}, ANSWER_SECONDS)
            while True:
                event = await stream.get()
                protocol.read_snapshot(event)
                yield event
        finally:
            self._forget(number)

    async def close(self) -> None:
        """End the connection; returns soon, whatever the other side does."""
        self._listener.cancel()
        self._lose(NodeError("server.closed", "we closed the connection"))
        with contextlib.suppress(Exception):
            self._writer.close()
        if self._on_close is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2):
                    await self._on_close()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listener

    def _expect(self) -> tuple[int, asyncio.Future[dict[str, Any]]]:
        if self._lost is not None:
            raise self._lost
        self._number += 1
        answer = asyncio.get_running_loop().create_future()
        self._answers[self._number] = answer
        return self._number, answer

    def _forget(self, number: int) -> None:
        self._streams.pop(number, None)
        answer = self._answers.pop(number)
        if not answer.cancel() and not answer.cancelled():
            answer.exception()  # nobody may have come to look at it: that is no fault to report

    async def _ask(
        self,
        number: int,
        answer: asyncio.Future[dict[str, Any]],
        verb: str,
        body: Mapping[str, Any],
        seconds: float,
    ) -> dict[str, Any]:
        line = json.dumps({"id": number, "verb": verb, "body": body}, separators=(",", ":"))
        data = line.encode() + b"\n"
        if len(data) > MAX_LINE_BYTES:
            raise NodeError("node.too_large", f"{verb} of {len(data)} bytes")
        try:
            async with asyncio.timeout(seconds):
                async with self._writing:
                    self._writer.write(data)
                    await self._writer.drain()
                return await answer
        except TimeoutError:
            raise NodeError("server.hangs", f"no answer to {verb} in {seconds:g} s") from None
        except OSError as error:
            await asyncio.wait([self._listener], timeout=EXPLAIN_SECONDS)  # it may know why
            raise self._lost or NodeError("server.connection_lost", str(error)) from None

    async def _listen(self) -> None:
        error = NodeError("server.connection_lost", "the connection ended")
        try:
            async for line in lines(self._reader):
                self._take(line)
            if self._explain is not None:
                error = await self._explain()
        except NodeError as nonsense:
            error = nonsense
        except OSError as broken:
            error = NodeError("server.connection_lost", str(broken))
        finally:
            self._lose(error)

    def _take(self, line: bytes) -> None:
        message = _parse(line)
        number = message.get("id")
        if not isinstance(number, int):
            raise NodeError("node.nonsense", "a line without an id")
        if "event" in message:
            stream, event = self._streams.get(number), message["event"]
            if stream is None or not isinstance(event, dict):
                return
            stream.put(event, len(line))  # pyright: ignore[reportUnknownArgumentType] # checked before it is yielded
            if stream.bytes > STREAM_BYTES:
                raise NodeError("server.slow_reader", "the node says more than we can write down")
            return
        answer = self._answers.get(number)
        if answer is None or answer.done():
            return  # its asker has given up
        body: Any = message.get("body", {})
        if message.get("ok") is True and isinstance(body, dict):
            answer.set_result(body)  # pyright: ignore[reportUnknownArgumentType] # each verb checks it
            return
        error: Any = message.get("error")
        code, text = ("", "")
        if isinstance(error, dict):
            code, text = str(error.get("code"))[:64], str(error.get("message"))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType] # a stranger's JSON
        answer.set_exception(NodeError(code or "node.nonsense", text))

    def _lose(self, error: NodeError) -> None:
        if self._lost is None:
            self._lost = error
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self._lost)
        for stream in self._streams.values():
            stream.end(self._lost)


def _parse(line: bytes) -> dict[str, Any]:
    try:
        message: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise NodeError("node.nonsense", "a line that is not JSON") from None
    if not isinstance(message, dict):
        raise NodeError("node.nonsense", "a line that is not an object")
    return message  # pyright: ignore[reportUnknownVariableType] # a stranger's JSON
