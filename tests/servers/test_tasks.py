"""Deliveries of jobs: done by the worker's own threads, once, whatever is lost."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import select

from derpman.kit.outbox import Delivery, DeliveryStatus
from derpman.kit.work import Edge
from derpman.servers import adding, jobs, tasks, upkeep
from derpman.servers.models import ServerJob, Transport
from derpman.servers.states import JobStatus
from derpman.wiring import System
from derpman.worker import celery_app


@pytest.fixture
def job(edge: Edge, system: System, monkeypatch: pytest.MonkeyPatch) -> ServerJob:
    celery_app(system)
    monkeypatch.setitem(adding.PROGRAMS, "add", _nothing)
    _, job = edge(upkeep.add, ip="203.0.113.1", region="a", transport=Transport.FAKE)
    return job


async def _nothing(_run: object) -> None:
    return


def delivery(edge: Edge) -> Delivery:
    found = select(Delivery).where(Delivery.event == "servers.job_queued")
    return edge.read(lambda work: work.session.scalars(found.order_by(Delivery.id.desc())).all())[0]


def deliver(edge: Edge) -> None:
    """Run the newest delivery's task and wait for its thread."""
    tasks.run_job.apply(args=(delivery(edge).id,), throw=True)
    for thread in threading.enumerate():
        if thread.name.startswith("server-job-"):
            thread.join(20)


def status(edge: Edge, job: ServerJob) -> JobStatus:
    return edge.read(lambda work: work.session.get_one(ServerJob, job.id).status)


def test_a_delivered_job_is_done_once(edge: Edge, job: ServerJob) -> None:
    deliver(edge)
    assert status(edge, job) is JobStatus.DONE
    assert delivery(edge).status is DeliveryStatus.DONE
    deliver(edge)
    assert status(edge, job) is JobStatus.DONE


def test_a_job_somebody_is_at_work_on_stays_due(edge: Edge, job: ServerJob) -> None:
    edge(jobs.claim, job_id=job.id, worker="another")
    deliver(edge)
    assert delivery(edge).status is not DeliveryStatus.DONE
    assert status(edge, job) is JobStatus.RUNNING


def test_a_lost_job_is_found_by_the_sweep(edge: Edge, job: ServerJob, clock: Any) -> None:
    edge(jobs.claim, job_id=job.id, worker="dead")
    first = delivery(edge).id
    clock.advance(seconds=40)
    tasks.resume_jobs.apply(throw=True)
    assert delivery(edge).id > first
    deliver(edge)
    assert status(edge, job) is JobStatus.DONE


def test_jobs_beyond_what_a_process_takes_come_again(
    edge: Edge, job: ServerJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.BoundedSemaphore(1)
    full.acquire()
    monkeypatch.setattr(tasks, "_places", full)
    deliver(edge)
    assert status(edge, job) is JobStatus.QUEUED
    assert delivery(edge).status is not DeliveryStatus.DONE
    full.release()
    deliver(edge)
    assert status(edge, job) is JobStatus.DONE
