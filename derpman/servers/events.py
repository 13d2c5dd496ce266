"""What happens with servers that others may follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from derpman.kit.outbox import Event


@dataclass(frozen=True)
class ServerJobQueued(Event):
    """A job on a server waits for a worker."""

    name: ClassVar[str] = "servers.job_queued"
    job_id: int
