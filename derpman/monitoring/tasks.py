"""What time alone does to metrics."""

from celery import shared_task

from derpman.kit.tasks import Task
from derpman.monitoring import service


@shared_task(bind=True, base=Task, name="monitoring.forget_old")
def forget_old(self: Task) -> None:
    """Forget values of a month ago; what they add up to by hours stays."""
    while self.edge(service.forget_old) == service.FORGET_AT_ONCE:
        pass
