"""An API process can be replaced while it is asked: nobody's request fails."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from derpman.kit.serving import GentleServer, handed_over

CODE = textwrap.dedent("""
    import asyncio, os
    os.environ["LISTEN_PID"] = str(os.getpid())  # what systemd writes after its fork
    import uvicorn
    from derpman.kit.serving import GentleServer, handed_over

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        await receive()
        await asyncio.sleep(0.02)
        headers = [(b"content-length", b"8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"answered"})

    async def nothing():
        pass

    config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=5)
    GentleServer(config, nothing).run(handed_over())
""")


class Unit:
    """A socket that outlives the processes which answer on it, as a systemd unit's does."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address: tuple[str, int] = self._socket.getsockname()
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        number = self._socket.fileno()
        return subprocess.Popen(
            ["bash", "-c", f'exec "$0" -c "$1" 3<&{number}', sys.executable, CODE],
            env={**os.environ, "LISTEN_FDS": "1"},
            pass_fds=[number],
        )

    def replace(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)
        self._process = self._start()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._socket.close()


@pytest.fixture
def unit() -> Iterator[Unit]:
    unit = Unit()
    yield unit
    unit.close()


def ask(address: tuple[str, int]) -> bytes:
    """Ask on a connection of its own, as the proxy does."""
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                           b"Content-Length: 2\r\n\r\n{}")  # fmt: skip
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    return answer


def test_no_request_fails_while_the_process_is_replaced(unit: Unit) -> None:
    ask(unit.address)
    answers: list[bytes] = []
    ended = threading.Event()

    def customer() -> None:
        while not ended.is_set():
            try:
                answers.append(ask(unit.address))
            except OSError as error:
                answers.append(repr(error).encode())

    customers = [threading.Thread(target=customer) for _ in range(8)]
    for one in customers:
        one.start()
    for _ in range(3):
        time.sleep(0.3)
        unit.replace()
    ask(unit.address)
    ended.set()
    for one in customers:
        one.join(30)
    assert len(answers) > 50
    assert {answer[-8:] for answer in answers} == {b"answered"}, set(answers)


def test_sockets_of_another_process_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", "1")
    assert handed_over() == []
    monkeypatch.delenv("LISTEN_PID")
    assert handed_over() == []


def test_streams_are_ended_when_the_process_is_to_end() -> None:
    ended: list[float] = []

    async def cut() -> None:
        ended.append(time.monotonic())

    async def app(scope: object, receive: object, send: object) -> None: ...

    async def play() -> None:
        config = uvicorn.Config(app, port=0, lifespan="off", log_config=None)
        server = GentleServer(config, cut)
        task = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 # uvicorn has no event for it
            await asyncio.sleep(0.01)
        server.should_exit = True
        await task

    asyncio.run(play())
    assert len(ended) == 1
