"""The base of our Celery tasks: a task turns a message into one verb and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from celery import Task as CeleryTask
from celery import shared_task

from derpman.kit import outbox
from derpman.kit.errors import DomainError, PermanentFailure, TooMany, Unavailable
from derpman.kit.work import Edge, UnitOfWork

log = structlog.get_logger(__name__)


class Task(CeleryTask):  # pyright: ignore[reportMissingTypeArgument] # not generic when run
    """Gives a task the edge of its process, and the rules for deliveries."""

    abstract = True
    ignore_result = True

    @property
    def edge(self) -> Edge:
        """Return the edge that acts as the system."""
        return self.app.conf.derpman_edge

    def deliver(self, delivery_id: int, verb: Callable[..., object]) -> None:
        """Run `verb(work, **payload)` and mark the delivery done, in one transaction.

        A message may come twice: the second finds the row done and nothing happens. A rule that
        says no or a permanent failure ends the delivery; anything else is tried again after a
        pause that grows, and so is what only says that we are busy.
        """

        def handle(work: UnitOfWork) -> None:
            payload = outbox.finish(work.session, delivery_id, work.now)
            if payload is not None:
                verb(work, **payload)

        try:
            self.edge(handle)
        except Exception as error:
            is_busy = isinstance(error, Unavailable | TooMany)
            for_good = isinstance(error, DomainError | PermanentFailure) and not is_busy
            self.edge(_record_failure, delivery_id, f"{type(error).__name__}: {error}", for_good)
            log.exception("delivery failed", id=delivery_id, task=self.name, for_good=for_good)
            if not for_good:
                raise

    def payload(self, delivery_id: int) -> dict[str, Any] | None:
        """Return what a delivery carries, or None when it is done: for drivers, which act first.

        Such a task reads and leases, closes, acts on the network, then opens and records; it ends
        with `deliver`, whose verb records.
        """
        return self.edge.read(_payload, delivery_id)


KEEP_DONE = timedelta(days=7)


@shared_task(bind=True, base=Task, name="kit.purge_deliveries")
def purge_deliveries(self: Task) -> None:
    """Forget deliveries that were done a week ago."""
    while self.edge(_purge) == outbox.PURGE_BATCH:
        pass


def _purge(work: UnitOfWork) -> int:
    return outbox.purge_done(work.session, work.now - KEEP_DONE)


def _record_failure(work: UnitOfWork, delivery_id: int, error: str, for_good: bool) -> None:
    outbox.record_failure(work.session, delivery_id, error, work.now, for_good=for_good)


def _payload(work: UnitOfWork, delivery_id: int) -> dict[str, Any] | None:
    return outbox.peek(work.session, delivery_id)
