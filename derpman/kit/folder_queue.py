"""The folder broker of the embedded default: kombu's, with messages that are whole or not there.

Kombu opens a message's file, and writes to it a moment later: a reader that takes it between the
two gets nothing, fails to decode it, and Celery's worker ends (kombu 5, `transport/filesystem.py`).
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

import structlog
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps

log = structlog.get_logger(__name__)
SCHEME = "folder"


class Channel(filesystem.Channel):
    """Writes a message beside where it belongs and then moves it there."""

    def _put(self, queue: str, payload: Any, **_kwargs: Any) -> None:
        name = f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}"
        folder = Path(self.data_folder_out)
        fresh = folder / f"{name}.new"
        fresh.write_text(dumps(payload))
        fresh.replace(folder / f"{name}.msg")

    def _get(self, queue: str) -> Any:
        try:
            return super()._get(queue)
        except ValueError:  # cut short when the machine went down; the sweep sends it again
            log.warning("a message cannot be read and is dropped", queue=queue)
            raise Empty from None


class Transport(filesystem.Transport):
    Channel = Channel


def register() -> None:
    """Have kombu know the scheme `folder://`."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
