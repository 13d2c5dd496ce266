"""What follows on ACLs, and what time alone does to them."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import structlog
from celery import shared_task

from derpman.acl import mails, overlap, queries, usage
from derpman.kit.tasks import Task
from derpman.kit.work import UnitOfWork

log = structlog.get_logger(__name__)
BATCH = 500


def _grace(task: Task) -> timedelta:
    return timedelta(days=task.app.conf.derpman_system.settings.acl_grace_days)


@shared_task(bind=True, base=Task, name="acl.tell_replaced")
def tell_replaced(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, partial(mails.tell_replaced, grace=_grace(self)))


@shared_task(bind=True, base=Task, name="acl.follow_replaced")
def follow_replaced(self: Task, delivery_id: int) -> None:
    """Give the relays that a new version names no more their end, at once."""
    self.deliver(delivery_id, partial(_attend_former, grace=_grace(self)))


def _attend_former(work: UnitOfWork, *, version_id: int, grace: timedelta) -> None:
    for former_id in queries.superseded_before(work, version_id=version_id):
        overlap.attend(work, version_id=former_id, grace=grace)


@shared_task(bind=True, base=Task, name="acl.note_pushed")
def note_pushed(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, usage.note_pushed)


@shared_task(bind=True, base=Task, name="acl.note_undone")
def note_undone(self: Task, delivery_id: int) -> None:
    self.deliver(delivery_id, usage.note_undone)


@shared_task(bind=True, base=Task, name="acl.attend_due")
def attend_due(self: Task) -> None:
    """Remind of superseded versions, and end those whose time is over: each by itself."""
    grace = _grace(self)
    for version_id in self.edge.read(queries.superseded_due, limit=BATCH):
        try:
            self.edge(overlap.attend, version_id=version_id, grace=grace)
        except Exception:  # of one customer; the others go on
            log.exception("version not attended", id=version_id)
