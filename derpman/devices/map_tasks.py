"""A sweep for which map devices use."""

from __future__ import annotations

from datetime import timedelta

import structlog
from celery import shared_task

from derpman.devices import maps
from derpman.kit.tasks import Task

log = structlog.get_logger(__name__)
PAGE = 500


@shared_task(bind=True, base=Task, name="devices.watch_maps")
def watch_maps(self: Task) -> None:
    """See which ACL version customers' devices use; what changes is written one by one."""
    settle = timedelta(seconds=self.app.conf.derpman_system.settings.acl_settle_seconds)
    after: int | None = 0
    while after is not None:
        found, after = self.edge.read(maps.changed, after=after, limit=PAGE, settle=settle)
        for seen in found:
            try:
                self.edge(maps.note, seen=seen, settle=settle)
            except Exception:  # of one customer; the others go on
                log.exception("map not written down", user=seen.user_id)
