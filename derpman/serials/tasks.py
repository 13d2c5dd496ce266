"""What happens to serials by itself."""

from celery import shared_task

from derpman.kit.tasks import Task
from derpman.serials import service

MAX_ROUNDS = 100


@shared_task(bind=True, base=Task, name="serials.expire_unused")
def expire_unused(self: Task) -> None:
    """Expire what was not used in time, a thousand rows a transaction."""
    for _ in range(MAX_ROUNDS):
        if self.edge(service.expire_unused) < service.ROWS_PER_STATEMENT:
            return
