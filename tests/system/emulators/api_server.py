"""What emulators of HTTP APIs share: a server on loopback, and the ways in which servers fail."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Request:
    """What was asked; names of headers are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    status: int = 200
    content: Any = None
    """JSON, or bytes as they are."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def body(self) -> bytes:
        if isinstance(self.content, bytes):
            return self.content
        return b"" if self.content is None else json.dumps(self.content).encode()


@dataclass
class Fault:
    """What goes wrong with the next request whose method and path begin so."""

    of: str = ""
    """Such as `POST /api/v2/tailnet/-/acl`; empty: of any request."""
    reply: Reply | None = None
    """Answered instead of doing anything."""
    hang: float = 0.0
    """Seconds of silence before anything is done."""
    is_cut: bool = False
    """What was asked is done, and the connection ends before an answer."""
    garbage: bytes | None = None
    """Sent instead of an HTTP answer."""


@dataclass
class ApiServer:
    """Answers by `answer(request)`; a subclass says how. Faults are taken in their order."""

    asked: list[Request] = field(default_factory=list[Request])
    faults: list[Fault] = field(default_factory=list[Fault])
    after: Callable[[Request], None] | None = None
    """Called when a request was done, before it is answered: what others do meanwhile."""

    def answer(self, request: Request) -> Reply:
        """Do what is asked."""
        raise NotImplementedError

    def paths(self) -> list[str]:
        """Return what was asked so far, as `GET /path`."""
        return [f"{request.method} {request.path}" for request in self.asked]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def _fault(self, request: Request) -> Fault | None:
        named = f"{request.method} {request.path}"
        for fault in self.faults:
            if named.startswith(fault.of):
                self.faults.remove(fault)
                return fault
        return None

    def __enter__(self) -> Self:
        emulator = self
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                path, _, query = self.path.partition("?")
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, path, query, headers, body)
                with lock:
                    emulator.asked.append(request)
                    fault = emulator._fault(request) or Fault()
                time.sleep(fault.hang)
                if fault.garbage is not None:
                    self.wfile.write(fault.garbage)
                    return
                with lock:
                    reply = fault.reply or emulator.answer(request)
                    if emulator.after is not None:
                        emulator.after(request)
                if fault.is_cut:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                with contextlib.suppress(OSError):  # the other side gave up waiting
                    self.send_response(reply.status)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(reply.body)))
                    self.end_headers()
                    self.wfile.write(reply.body)

            do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 # the base class looks for them

            def log_message(self, format, *args):  # noqa: A002 # the base class names it
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
