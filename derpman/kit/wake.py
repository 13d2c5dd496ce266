"""Hints between processes: "something changed, look now". Any of them may be lost."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import redis
import structlog

log = structlog.get_logger(__name__)
Listener = Callable[[str], None]


class Wake(Protocol):
    """Sends topics to every listening process of this installation."""

    def send(self, topics: Iterable[str]) -> None:
        """Send; never blocks for long, never raises."""
        ...

    def listen(self, heard: Listener) -> Callable[[], None]:
        """Call `heard` with each topic on a thread of its own; return what ends it."""
        ...


def sockets_folder(data_dir: Path) -> Path:
    """Return the private folder for the sockets of one installation, and make it.

    A socket's path may not exceed 108 bytes, so it does not live below the data folder.
    """
    digest = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"derpman-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    return folder


class LocalWake:
    """One datagram socket per listener in a private folder; for processes of one machine."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = sockets_folder(data_dir) / "wake"
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def send(self, topics: Iterable[str]) -> None:
        message = "\n".join(topics).encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            for path in self._folder.glob("*.sock"):
                try:
                    out.sendto(message, str(path))
                except (ConnectionRefusedError, FileNotFoundError):
                    path.unlink(missing_ok=True)  # its process is gone
                except OSError:
                    continue  # its queue is full: it is awake already

    def listen(self, heard: Listener) -> Callable[[], None]:
        path = self._folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.sock"
        inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        inbox.bind(str(path))
        ended = threading.Event()

        def loop() -> None:
            while not ended.is_set():
                message = inbox.recv(65536)
                for topic in message.decode(errors="replace").split("\n"):
                    if topic:
                        heard(topic)
            inbox.close()
            path.unlink(missing_ok=True)

        def stop() -> None:
            ended.set()
            with (
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out,
                contextlib.suppress(OSError),
            ):
                out.sendto(b"", str(path))

        threading.Thread(target=loop, name="wake", daemon=True).start()
        return stop


class RedisWake:
    """Publishes on one Redis channel; for processes of several machines."""

    CHANNEL = "derpman:wake"

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url, socket_timeout=2, socket_connect_timeout=2, health_check_interval=30
        )
        self._url = url

    def send(self, topics: Iterable[str]) -> None:
        try:
            self._redis.publish(self.CHANNEL, "\n".join(topics))
        except redis.RedisError as error:
            log.warning("wake not sent", error=type(error).__name__)

    def listen(self, heard: Listener) -> Callable[[], None]:
        ended = threading.Event()

        def loop() -> None:
            while not ended.is_set():
                try:
                    self._hear(heard, ended)
                except redis.RedisError as error:
                    log.warning("wake channel lost", error=type(error).__name__)
                    ended.wait(1)

        threading.Thread(target=loop, name="wake", daemon=True).start()
        return ended.set

    def _hear(self, heard: Listener, ended: threading.Event) -> None:
        client = redis.Redis.from_url(self._url, socket_connect_timeout=2)
        with client, client.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(self.CHANNEL)
            while not ended.is_set():
                message: dict[str, Any] | None = channel.get_message(timeout=1)  # pyright: ignore[reportUnknownVariableType] # untyped
                if message is None:
                    continue
                data: bytes = message["data"]
                for topic in data.decode(errors="replace").split("\n"):
                    if topic:
                        heard(topic)
