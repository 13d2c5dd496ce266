"""Celery tasks of servers: a job from its delivery, and the sweep that finds lost ones."""

from __future__ import annotations

from celery import shared_task

from derpman.kit.tasks import Task
from derpman.kit.work import UnitOfWork
from derpman.servers import adding, jobrun, jobs


@shared_task(bind=True, base=Task, name="servers.run_job")
def run_job(self: Task, delivery_id: int) -> None:
    """Do a job to its end. While somebody else is at it, the delivery is left to come again."""
    payload = self.payload(delivery_id)
    if payload is None:
        return
    settings = self.app.conf.derpman_system.settings
    means = jobrun.Means(
        edge=self.edge,
        build_dir=settings.build_dir,
        relay_memory_bytes=settings.server_capacity_memory_bytes,
    )
    job_id: int = payload["job_id"]
    if jobrun.run(means, job_id, adding.PROGRAMS) or self.edge.read(jobs.is_ended, job_id):
        self.deliver(delivery_id, _done)


@shared_task(bind=True, base=Task, name="servers.resume_jobs")
def resume_jobs(self: Task) -> None:
    """Hand out again what a dead worker held."""
    self.edge(jobs.resume)


def _done(_work: UnitOfWork, *, job_id: int) -> None:
    """Nothing is left to do: the job wrote down itself how it went."""
