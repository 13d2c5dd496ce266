"""HTTP of the making of next ACL versions: of one user, and of everybody on a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query

from derpman.acl import queries, usage
from derpman.acl.models import AclJob, AclRotation
from derpman.acl.schemas import (
    JobOut,
    JobPart,
    JobsOut,
    RotationOut,
    RotationPart,
    RotationsOut,
    RotationsQuery,
)
from derpman.acl.states import RotationStatus
from derpman.kit.csvfile import CSV, listed
from derpman.kit.http import RunAdmin
from derpman.kit.paging import TimedQuery
from derpman.kit.types import IdValue
from derpman.kit.work import UnitOfWork
from derpman.rentals import rotation
from derpman.rentals.errors import JobNotFound
from derpman.rentals.schemas import GenerateForServer, Rotate
from derpman.users import service as users

router = APIRouter(prefix="/api/acl", tags=["acl"])


@router.post("/rotate")
def rotate(run: RunAdmin, body: Rotate) -> RotationOut:
    """Make a user's next version: new relays beside the old ones first, then the map."""
    return RotationOut(rotation=run(_asked, body))


@router.post("/generate_for_server")
def generate_for_server(run: RunAdmin, body: GenerateForServer) -> JobOut:
    """Make the next version for every user with a relay on a server, as one job."""
    return JobOut(job=run(_job_asked, body))


@router.get("/rotations", response_model=RotationsOut, responses=CSV)
def list_rotations(run: RunAdmin, query: Annotated[RotationsQuery, Query()]) -> Any:
    """How next versions are made, newest first: also the log of a job."""
    return listed(
        query,
        lambda one: run.read(_rotations, one),
        name="rotations",
        rows="rotations",
        row=RotationPart,
    )


@router.get("/jobs", response_model=JobsOut, responses=CSV)
def list_jobs(run: RunAdmin, query: Annotated[TimedQuery, Query()]) -> Any:
    """Jobs for whole servers, newest first."""
    return listed(
        query, lambda one: run.read(_jobs, one), name="acl_jobs", rows="jobs", row=JobPart
    )


@router.get("/jobs/{job_id}")
def show_job(run: RunAdmin, job_id: IdValue) -> JobOut:
    """How far a job is."""
    return JobOut(job=run.read(_job, job_id))


@router.post("/jobs/{job_id}/cancel")
def cancel_job(run: RunAdmin, job_id: IdValue) -> JobOut:
    """Take back what of a job has not begun."""
    return JobOut(job=run(_cancelled, job_id))


def _asked(work: UnitOfWork, body: Rotate) -> RotationPart:
    made = rotation.ask(work, user_id=body.user_id, reason=body.reason, is_new_ports=body.new_ports)
    return _parts(work, [made])[0]


def _job_asked(work: UnitOfWork, body: GenerateForServer) -> JobPart:
    job = rotation.ask_for_server(
        work, server_id=body.server_id, reason=body.reason, is_new_ports=body.new_ports
    )
    return _job_parts(work, [job])[0]


def _rotations(work: UnitOfWork, query: RotationsQuery) -> RotationsOut:
    found, next_before = queries.rotations(work, **query.asked())
    return RotationsOut(rotations=_parts(work, found), next_before=next_before)


def _jobs(work: UnitOfWork, query: TimedQuery) -> JobsOut:
    found, next_before = queries.jobs(work, **query.asked())
    return JobsOut(jobs=_job_parts(work, found), next_before=next_before)


def _job(work: UnitOfWork, job_id: int) -> JobPart:
    job = work.session.get(AclJob, job_id)
    if job is None:
        raise JobNotFound
    return _job_parts(work, [job])[0]


def _cancelled(work: UnitOfWork, job_id: int) -> JobPart:
    return _job_parts(work, [rotation.cancel_job(work, job_id=job_id)])[0]


def _parts(work: UnitOfWork, found: Sequence[AclRotation]) -> list[RotationPart]:
    numbers = usage.numbers(work, [one.version_id for one in found])
    usernames = users.names_of(work, user_ids=[one.user_id for one in found])
    return [
        RotationPart(
            id=one.id,
            user_id=one.user_id,
            username=usernames.get(one.user_id, ""),
            job_id=one.job_id,
            status=one.status,
            reason=one.reason,
            is_new_ports=one.is_new_ports,
            actor_name=one.actor_name,
            version=None if one.version_id is None else numbers[one.version_id],
            error=one.error,
            created_at=one.created_at,
            begun_at=one.begun_at,
            ended_at=one.ended_at,
        )
        for one in found
    ]


def _job_parts(work: UnitOfWork, found: Sequence[AclJob]) -> list[JobPart]:
    progress = queries.job_progress(work, job_ids=[one.id for one in found])
    parts: list[JobPart] = []
    for one in found:
        counts = progress[one.id]
        done = counts.get(RotationStatus.DONE, 0)
        cancelled = counts.get(RotationStatus.CANCELLED, 0)
        total = sum(counts.values())
        parts.append(
            JobPart(
                id=one.id,
                server_id=one.server_id,
                reason=one.reason,
                is_new_ports=one.is_new_ports,
                actor_name=one.actor_name,
                created_at=one.created_at,
                cancelled_at=one.cancelled_at,
                total=total,
                done=done,
                cancelled=cancelled,
                is_over=done + cancelled == total,
            )
        )
    return parts
