"""What time does to ACL versions: the next one is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

import structlog
from celery import shared_task

from derpman.acl import queries
from derpman.acl.states import RotationStatus
from derpman.kit.errors import DomainError, Unavailable
from derpman.kit.tasks import Task
from derpman.kit.work import Edge, UnitOfWork
from derpman.rentals import rotation

log = structlog.get_logger(__name__)
BATCH = 500
MINUTE = timedelta(seconds=60)


@shared_task(bind=True, base=Task, name="rentals.rotate")
def rotate(self: Task) -> None:
    """Bring each customer's next version one step further, each in a transaction of its own.

    So many new relays begin in a minute, over all servers, as `acl_rotations_per_minute` says.
    """
    per_minute = self.app.conf.derpman_system.settings.acl_rotations_per_minute
    _each(self.edge, RotationStatus.PREPARING, _finish)
    for version_id in self.edge.read(queries.rotation_due, limit=BATCH):
        try:
            self.edge(rotation.enqueue_due, version_id=version_id)
        except Exception:  # as below
            log.exception("rotation not queued", version=version_id)
    left = per_minute - self.edge.read(_begun_lately)
    _each(self.edge, RotationStatus.QUEUED, _begin, limit=left)


def _begin(run: Edge, rotation_id: int) -> None:
    run(rotation.begin, rotation_id=rotation_id)


def _finish(run: Edge, rotation_id: int) -> None:
    run(rotation.finish, rotation_id=rotation_id)


def _begun_lately(work: UnitOfWork) -> int:
    return queries.begun_since(work, since=work.now - MINUTE)


def _each(
    run: Edge, status: RotationStatus, step: Callable[[Edge, int], None], *, limit: int = BATCH
) -> None:
    ids: Iterable[int] = []
    if limit > 0:
        ids = run.read(queries.rotation_ids, status=status, limit=limit)
    for rotation_id in ids:
        try:
            step(run, rotation_id)
        except Unavailable:
            raise  # it is the database's trouble, not this customer's
        except Exception as error:  # of one customer; the others go on
            log.exception("rotation not moved", id=rotation_id)
            code = error.code if isinstance(error, DomainError) else "internal"
            run(rotation.give_up, rotation_id=rotation_id, error=code)
