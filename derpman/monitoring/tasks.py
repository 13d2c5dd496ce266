"""What time alone does to metrics."""

from celery import shared_task

from derpman.kit.tasks import Task
from derpman.monitoring import measuring, service


@shared_task(bind=True, base=Task, name="monitoring.forget_old")
def forget_old(self: Task) -> None:
    """Forget values after two days; what they add up to stays for weeks, by hours for a year."""
    while self.edge(service.forget_old) == service.FORGET_AT_ONCE:
        pass


@shared_task(bind=True, base=Task, name="monitoring.measure")
def measure(self: Task) -> None:
    """Write down what every server and the system are like now."""
    self.edge(measuring.measure)
