"""Celery tasks of servers: a job from its delivery, and the sweep that finds lost ones."""

from __future__ import annotations

import threading

import structlog
from celery import shared_task

from derpman.kit.tasks import Task
from derpman.kit.work import UnitOfWork
from derpman.servers import adding, jobrun, jobs, rollouts

JOBS_AT_ONCE = 16
log = structlog.get_logger(__name__)
_places = threading.BoundedSemaphore(JOBS_AT_ONCE)


@shared_task(bind=True, base=Task, name="servers.run_job")
def run_job(self: Task, delivery_id: int) -> None:
    """Do a job to its end, in a thread of its own: a server that hangs must hold up no mail.

    When the process ends under it, the job's lease runs out and it begins again elsewhere.
    """
    payload = self.payload(delivery_id)
    if payload is None or not _places.acquire(blocking=False):
        return  # it comes again when it is overdue

    def work() -> None:
        try:
            _do(self, delivery_id, payload["job_id"])
        except Exception:  # the end of a thread: nobody above would log it
            log.exception("job could not be worked on", job=payload["job_id"])
        finally:
            _places.release()

    threading.Thread(target=work, name=f"server-job-{payload['job_id']}", daemon=True).start()


def _do(self: Task, delivery_id: int, job_id: int) -> None:
    settings = self.app.conf.derpman_system.settings
    means = jobrun.Means(
        edge=self.edge,
        build_dir=settings.build_dir,
        relay_memory_bytes=settings.server_capacity_memory_bytes,
        may_remake=self.app.conf.derpman_may_remake,
    )
    # While somebody else is at the job, the delivery is left to come again.
    if jobrun.run(means, job_id, adding.PROGRAMS) or self.edge.read(jobs.is_ended, job_id):
        self.deliver(delivery_id, _done)


@shared_task(bind=True, base=Task, name="servers.resume_jobs")
def resume_jobs(self: Task) -> None:
    """Hand out again what a dead worker held."""
    self.edge(jobs.resume)


@shared_task(bind=True, base=Task, name="servers.advance_upgrades")
def advance_upgrades(self: Task) -> None:
    """Take the next step of the upgrade that is under way."""
    self.edge(rollouts.advance)


def _done(_work: UnitOfWork, *, job_id: int) -> None:
    """Nothing is left to do: the job wrote down itself how it went."""
