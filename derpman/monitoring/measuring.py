"""What is measured every half minute: servers by their nodes' last reports, and the system.

One statement reads all servers, one the readings before, one the queues; `record` writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from derpman.kit.outbox import Delivery, DeliveryStatus
from derpman.kit.work import UnitOfWork
from derpman.monitoring import queries, service
from derpman.monitoring.service import Sample
from derpman.notifications.models import Mail
from derpman.notifications.states import MailStatus
from derpman.servers.models import Server, ServerLink

EVERY_SECONDS = 30
FRESH = timedelta(seconds=60)
"""An older report says nothing of now: there is a gap in the charts then."""
METRICS: dict[str, str] = {
    "host.load": "load of the last minute",
    "host.cpu": "part of the processors that is busy, 0 to 1",
    "host.memory": "part of the memory that is used, 0 to 1",
    "host.disk": "part of the disk that is used, 0 to 1",
    "net.sent": "bytes a second that the server sends, all together",
    "net.received": "bytes a second that the server receives, all together",
    "relays.rate": "bytes a second that its relays send",
    "users": "relays on the server, which is users",
}
"""Of every server, each with what its values are."""
PLAIN = {
    "host.load": "load1",
    "host.cpu": "cpu_fraction",
    "relays.rate": "rate_bytes_per_second",
}
COUNTERS = {"net.sent": "net_sent_bytes", "net.received": "net_received_bytes"}
SYSTEM_METRICS: dict[str, str] = {
    "system.servers": "servers whose node reports",
    "system.deliveries": "events that wait for one of their handlers",
    "system.delivery_age": "seconds that the oldest of them waits beyond its time",
    "system.mails": "mails that wait",
}


def measure(work: UnitOfWork) -> int:
    """Write down what every server and the system are like now; return how many values."""
    rows = work.session.execute(
        select(ServerLink.server_id, ServerLink.host, Server.relay_count)
        .join(Server, Server.id == ServerLink.server_id)
        .where(ServerLink.contact_at > work.now - FRESH, ServerLink.host.is_not(None))
        .order_by(ServerLink.server_id)
    ).all()
    readings = queries.readings(
        work,
        server_ids=[row.server_id for row in rows],
        metrics=[f"{one}.total" for one in COUNTERS],
    )
    samples: list[Sample] = []
    for row in rows:
        host: dict[str, Any] = json.loads(row.host)
        samples.append(Sample(row.server_id, "users", row.relay_count))
        samples += _of_host(row.server_id, host)
        samples += _of_network(work, row.server_id, host, readings)
    samples += _of_system(work, len(rows))
    service.record(work, samples)
    return len(samples)


def _of_host(server_id: int, host: dict[str, Any]) -> Iterator[Sample]:
    for metric, name in PLAIN.items():
        if name in host:
            yield Sample(server_id, metric, host[name])
    if memory := host.get("memory_bytes"):
        yield Sample(server_id, "host.memory", host.get("memory_used_bytes", 0) / memory)
    if disk := host.get("disk_bytes"):
        yield Sample(server_id, "host.disk", 1 - host.get("disk_free_bytes", 0) / disk)


def _of_network(
    work: UnitOfWork, server_id: int, host: dict[str, Any], readings: queries.Readings
) -> Iterator[Sample]:
    """Yield counters, and what they say since the reading before; nothing after a restart."""
    for metric, name in COUNTERS.items():
        if name not in host:
            continue
        total = host[name]
        yield Sample(server_id, f"{metric}.total", total, is_counted=True)
        before = readings.get((server_id, f"{metric}.total"))
        if before is not None and total >= before[0]:
            seconds = (work.now - before[1]).total_seconds()
            if seconds > 0:
                yield Sample(server_id, metric, (total - before[0]) / seconds)


def _of_system(work: UnitOfWork, servers: int) -> Iterator[Sample]:
    waiting, oldest = work.session.execute(
        select(func.count(Delivery.id), func.min(Delivery.due_at)).where(
            Delivery.status == DeliveryStatus.PENDING
        )
    ).one()
    mails = work.session.scalar(select(func.count(Mail.id)).where(Mail.status == MailStatus.QUEUED))
    age = max(0.0, (work.now - oldest).total_seconds()) if waiting else 0.0
    yield Sample(None, "system.servers", servers)
    yield Sample(None, "system.deliveries", waiting)
    yield Sample(None, "system.delivery_age", age)
    yield Sample(None, "system.mails", mails or 0)
