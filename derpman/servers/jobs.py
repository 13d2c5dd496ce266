"""Rows of jobs: something long done to a server, step by step, by whichever worker holds it.

A worker holds a job by a lease that it renews. When the worker dies the lease runs out and the
job begins again from its first step; every step may be repeated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import undefer
from sqlalchemy.orm.attributes import flag_modified

from derpman.kit.db import changed
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.servers.errors import JobNotFound, JobRunning, LeaseLost
from derpman.servers.events import ServerJobQueued
from derpman.servers.models import Server, ServerJob, ServerJobStep
from derpman.servers.rootshell import Credential
from derpman.servers.states import JOB_TRANSITIONS, TRANSITIONS, JobStatus, ServerStatus
from derpman.servers.texts import sentence

LEASE = timedelta(seconds=30)
RENEW_SECONDS = 8.0
UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)


def queue(
    work: UnitOfWork,
    *,
    server_id: int,
    kind: str,
    credential: Credential | None = None,
    fingerprint: str | None = None,
    waits: bool = False,
) -> ServerJob:
    """Record a job. Unless it `waits` for somebody to start it, a worker begins at once."""
    running = work.session.scalar(
        select(ServerJob.id).where(
            ServerJob.server_id == server_id, ServerJob.status.in_(UNFINISHED)
        )
    )
    if running is not None:
        raise JobRunning(job_id=running)
    server = work.session.get_one(Server, server_id)
    flag_modified(server, "updated_at")  # of two askers at once one runs again, and finds a job
    secrets = {"credential": credential and credential.to_text(), "fingerprint": fingerprint}
    job = ServerJob(
        server_id=server_id,
        kind=kind,
        status=JobStatus.QUEUED,
        credential=work.vault.seal(json.dumps(secrets)),
        actor_name=work.actor.name,
        created_at=work.now,
    )
    work.session.add(job)
    work.session.flush()
    if not waits:
        work.emit(ServerJobQueued(job_id=job.id))
    work.wake("live")
    return job


def get(work: UnitOfWork, job_id: int) -> ServerJob:
    """Return a job; JobNotFound when there is none."""
    job = work.session.get(ServerJob, job_id)
    if job is None:
        raise JobNotFound
    return job


def newest(work: UnitOfWork, server_id: int) -> ServerJob | None:
    """Return the last job on a server."""
    return work.session.scalar(
        select(ServerJob)
        .where(ServerJob.server_id == server_id)
        .order_by(ServerJob.id.desc())
        .limit(1)
    )


def steps(work: UnitOfWork, job_id: int) -> list[ServerJobStep]:
    """Return a job's steps in order."""
    found = select(ServerJobStep).where(ServerJobStep.job_id == job_id).order_by(ServerJobStep.id)
    return list(work.session.scalars(found))


def claim(work: UnitOfWork, *, job_id: int, worker: str) -> bool:
    """Take a job that nobody is at work on; False when somebody is, or it has ended."""
    job = work.session.get(ServerJob, job_id, populate_existing=True)
    if job is None or job.status not in UNFINISHED:
        return False
    taken = changed(
        work.session,
        update(ServerJob)
        .where(
            ServerJob.id == job_id,
            ServerJob.status == job.status,
            or_(ServerJob.leased_until.is_(None), ServerJob.leased_until < work.now),
        )
        .values(
            status=next_state(JOB_TRANSITIONS, job.status, "start"),
            leased_by=worker,
            leased_until=work.now + LEASE,
        ),
    )
    if taken == 0:
        return False
    for step in steps(work, job_id):
        if step.status is JobStatus.RUNNING:
            _end(work, step, "job.interrupted", {})
    work.wake("live")
    return True


def is_ended(work: UnitOfWork, job_id: int) -> bool:
    """Tell whether nothing is left to do for a job."""
    status = work.session.scalar(select(ServerJob.status).where(ServerJob.id == job_id))
    return status not in UNFINISHED


def resume(work: UnitOfWork) -> None:
    """Hand out again what a dead worker held."""
    lost = work.session.scalars(
        select(ServerJob.id).where(
            ServerJob.status == JobStatus.RUNNING, ServerJob.leased_until < work.now
        )
    )
    for job_id in lost.all():
        # Nobody holds it, and no second sweep hands it out while this one's message travels.
        renewed = changed(
            work.session,
            update(ServerJob)
            .where(ServerJob.id == job_id, ServerJob.leased_until < work.now)
            .values(leased_by=None, leased_until=None),
        )
        if renewed:
            work.emit(ServerJobQueued(job_id=job_id))


def hold(work: UnitOfWork, job_id: int, worker: str) -> ServerJob:
    """Renew a worker's lease and return the job; LeaseLost when the job is not its any more."""
    held = changed(
        work.session,
        update(ServerJob)
        .where(
            ServerJob.id == job_id,
            ServerJob.leased_by == worker,
            ServerJob.status == JobStatus.RUNNING,
        )
        .values(leased_until=work.now + LEASE),
    )
    if held == 0:
        raise LeaseLost(job_id)
    return work.session.get_one(ServerJob, job_id, populate_existing=True)


def access(work: UnitOfWork, job_id: int, worker: str) -> tuple[Credential | None, str | None]:
    """Return the administrator's access and the fingerprint that he expects, if he gave them."""
    hold(work, job_id, worker)
    sealed = work.session.get_one(
        ServerJob, job_id, options=[undefer(ServerJob.credential)], populate_existing=True
    ).credential
    secrets: dict[str, str | None] = json.loads(work.vault.open(sealed)) if sealed else {}
    text = secrets.get("credential")
    return Credential.from_text(text) if text else None, secrets.get("fingerprint")


def begin_step(work: UnitOfWork, job_id: int, worker: str, name: str) -> int:
    """Record that a step begins; return its id."""
    hold(work, job_id, worker)
    step = ServerJobStep(job_id=job_id, name=name, status=JobStatus.RUNNING, started_at=work.now)
    work.session.add(step)
    work.session.flush()
    work.wake("live")
    return step.id


def end_step(
    work: UnitOfWork,
    job_id: int,
    worker: str,
    step_id: int,
    error: str | None,
    params: Mapping[str, Any],
) -> None:
    """Record how a step went and what was found."""
    hold(work, job_id, worker)
    _end(work, work.session.get_one(ServerJobStep, step_id), error, params)
    work.wake("live")


def _end(
    work: UnitOfWork, step: ServerJobStep, error: str | None, params: Mapping[str, Any]
) -> None:
    step.status = next_state(JOB_TRANSITIONS, step.status, "fail" if error else "finish")
    step.finished_at = work.now
    step.error = error
    step.message = sentence(error, params) if error else None
    step.params = json.dumps(params, ensure_ascii=False, separators=(",", ":"), default=str)


def finish(work: UnitOfWork, job_id: int, worker: str, error: str | None) -> None:
    """End a job, well or with an error; the administrator's access is erased with it."""
    close(work, hold(work, job_id, worker), error)


def close(work: UnitOfWork, job: ServerJob, error: str | None) -> None:
    """End a job that this transaction may end."""
    job.status = next_state(JOB_TRANSITIONS, job.status, "fail" if error else "finish")
    job.finished_at = work.now
    job.error = error
    job.credential = None
    job.leased_by = job.leased_until = None
    server = work.session.get_one(Server, job.server_id, populate_existing=True)
    if error and server.status is ServerStatus.ADDING:
        server.status = next_state(TRANSITIONS, server.status, "fail")
        server.updated_at = work.now
    logs.record_server(
        work,
        server_id=job.server_id,
        action=job.kind,
        result="failed" if error else "ok",
        detail={"job_id": job.id, "asked_by": job.actor_name, "error": error},
    )
    work.wake("live")
