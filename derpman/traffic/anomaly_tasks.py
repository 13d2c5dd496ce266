"""Sweeps for what is odd in customers' traffic."""

from __future__ import annotations

from celery import shared_task

from derpman.alerts import rules
from derpman.containers import reactions
from derpman.kit.tasks import Task
from derpman.traffic import anomalies


@shared_task(bind=True, base=Task, name="traffic.watch_anomalies")
def watch_anomalies(self: Task) -> None:
    """Find who is too fast and who has used up his traffic."""
    reactions.follow(self.edge, rules.RATE_TOO_HIGH, self.edge(anomalies.watch_rates))
    reactions.follow(self.edge, rules.QUOTA_PASSED, self.edge.read(anomalies.used_up))


@shared_task(bind=True, base=Task, name="traffic.watch_changes")
def watch_changes(self: Task) -> None:
    """Find who sent far more in the last hour than he is used to; after the hour is rolled up."""
    reactions.follow(self.edge, rules.SUDDEN_CHANGE, self.edge.read(anomalies.sudden_changes))
