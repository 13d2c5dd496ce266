"""Sweeps for what is odd in who connects."""

from __future__ import annotations

from celery import shared_task

from derpman.alerts import rules
from derpman.containers import reactions
from derpman.devices import anomalies
from derpman.kit.tasks import Task


@shared_task(bind=True, base=Task, name="devices.watch_anomalies")
def watch_anomalies(self: Task) -> None:
    """Find devices that came from many networks, and floods of unknown ones."""
    reactions.follow(self.edge, rules.MANY_ADDRESSES, self.edge.read(anomalies.many_addresses))
    reactions.follow(self.edge, rules.UNKNOWN_FLOOD, self.edge.read(anomalies.unknown_floods))


@shared_task(bind=True, base=Task, name="devices.forget_networks")
def forget_networks(self: Task) -> None:
    """Forget old sightings of devices."""
    self.edge(anomalies.forget_networks)
