"""One run of a job: holds it, does its steps in order, shows each as it goes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from derpman.kit.work import Edge
from derpman.servers import jobs
from derpman.servers.endpoints import Endpoint, endpoint
from derpman.servers.errors import LeaseLost, NodeError, StepFailed
from derpman.servers.texts import sentence

log = structlog.get_logger(__name__)
Tell = Callable[[str, str, str], None]
"""Is told a step's name, its state (`running`, `done`, `failed`) and a sentence about an error."""


@dataclass(frozen=True)
class Means:
    """What jobs work with."""

    edge: Edge
    build_dir: Path
    relay_memory_bytes: int
    """Memory that one relay is planned with."""
    may_remake: Callable[..., bool] | None = None
    """`may_remake(work, relay_id=…)`: a relay's customer has others that carry him meanwhile."""


class JobRun:
    """A job in the hands of this process."""

    def __init__(self, means: Means, job_id: int, worker: str, tell: Tell) -> None:
        self.means = means
        self.job_id = job_id
        self.server_id = 0
        self._worker = worker
        self._tell = tell

    async def write(self, verb: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run `verb(work, …)` as one transaction, off the event loop."""
        return await asyncio.to_thread(self.means.edge, verb, *args, **kwargs)

    async def read(self, verb: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run `verb(work, …)`, which only reads, off the event loop."""
        return await asyncio.to_thread(self.means.edge.read, verb, *args, **kwargs)

    async def held(self, verb: Callable[..., Any], /, *args: Any) -> Any:
        """Run `verb(work, job_id, worker, …)`, which makes sure that the job is still ours."""
        return await self.write(verb, self.job_id, self._worker, *args)

    async def where(self) -> Endpoint:
        """Return how the server's node is reached."""
        return await self.read(endpoint, self.server_id)

    @asynccontextmanager
    async def step(self, name: str) -> AsyncGenerator[dict[str, Any]]:
        """Show what the body does as one step; what it finds it puts into the mapping.

        A StepFailed, or a NodeError, ends the step and goes on as a StepFailed.
        """
        found: dict[str, Any] = {}
        step_id = await self.held(jobs.begin_step, name)
        self._tell(name, "running", "")
        try:
            yield found
        except (StepFailed, NodeError) as error:
            failure = await self._as_failure(error, found)
            await self.held(jobs.end_step, step_id, failure.code, failure.params)
            self._tell(name, "failed", sentence(failure.code, failure.params))
            raise failure from None
        except LeaseLost:
            raise
        except Exception:  # a fault of ours: the job must end and say so, not run for ever
            log.exception("step failed", job=self.job_id, step=name)
            await self.held(jobs.end_step, step_id, "job.fault", {})
            self._tell(name, "failed", sentence("job.fault", {}))
            raise StepFailed("job.fault") from None
        await self.held(jobs.end_step, step_id, None, found)
        self._tell(name, "done", "")

    async def _as_failure(self, error: StepFailed | NodeError, found: dict[str, Any]) -> StepFailed:
        where = await self.where()
        place = {"ip": where.ip, "port": where.ssh_port, **found}
        if isinstance(error, StepFailed):
            return StepFailed(error.code, **{**place, **error.params})
        return StepFailed(error.code, **{**place, "detail": error.detail})


Program = Callable[[JobRun], Coroutine[Any, Any, None]]


def run(
    means: Means,
    job_id: int,
    programs: dict[str, Program],
    tell: Tell = lambda name, state, message: None,
) -> bool:
    """Do a job to its end; False when it is somebody else's or has ended already."""
    worker = f"{socket.gethostname()[:32]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    if not means.edge(jobs.claim, job_id=job_id, worker=worker):
        return False
    asyncio.run(_run(JobRun(means, job_id, worker, tell), programs))
    return True


async def _run(job: JobRun, programs: dict[str, Program]) -> None:
    row = await job.held(jobs.hold)
    job.server_id = row.server_id
    work = asyncio.create_task(programs[row.kind](job))
    keep = asyncio.create_task(_keep(job))
    try:
        await asyncio.wait([work, keep], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (work, keep):
            task.cancel()
        await asyncio.gather(work, keep, return_exceptions=True)
    if not work.done() or work.cancelled():
        log.warning("job lost", job=job.job_id)
        return
    with contextlib.suppress(LeaseLost):
        error = work.exception()
        if isinstance(error, StepFailed):
            await job.held(jobs.finish, error.code)
        elif error is None:
            await job.held(jobs.finish, None)
        elif not isinstance(error, LeaseLost):
            log.error("job failed", job=job.job_id, exc_info=error)
            await job.held(jobs.finish, "job.fault")


async def _keep(job: JobRun) -> None:
    """Renew the lease until it is lost."""
    while True:
        await asyncio.sleep(jobs.RENEW_SECONDS)
        try:
            await job.held(jobs.hold)
        except LeaseLost:
            return
        except Exception:  # the database is away: the lease lasts for some tries more
            log.warning("lease not renewed", job=job.job_id, exc_info=True)
