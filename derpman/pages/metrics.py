"""The figures behind `/metrics`: what Prometheus reads of a whole installation, from the database.

Every API process tells the same of them; what is a process's own stands in `kit.requests`.
A figure is named here, in `deploy/prometheus/rules.yml` and in the dashboards of `deploy/grafana`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from derpman.alerts.models import SystemAlert
from derpman.containers import queries as containers
from derpman.finance import ledger
from derpman.finance.checking import ALERT as LEDGER_DIFFERS
from derpman.finance.models import FinanceDay, Order, Receipt
from derpman.finance.states import OrderStatus, ReceiptStatus
from derpman.ha import queries as ha
from derpman.kit.outbox import Delivery, DeliveryStatus
from derpman.kit.work import Edge, UnitOfWork
from derpman.monitoring import queries as monitoring
from derpman.monitoring.models import MonitoringLog
from derpman.monitoring.service import PANEL
from derpman.notifications.models import Mail
from derpman.notifications.states import MailStatus
from derpman.servers.models import Server, ServerLink
from derpman.servers.states import ServerStatus

FRESH_SECONDS = 4.0
HOUR = timedelta(hours=1)
SERVER = ("server", "ip", "region")
LOOKS = ("node", "tcp", "tls", "stun")
RATIO = "from 0 to 1"
Labelled = Iterable[tuple[Sequence[str], float]]


def collect(work: UnitOfWork) -> list[Metric]:
    """Return every figure; some twelve statements however many servers and customers there are."""
    return [
        *_servers(work),
        *_relays(work),
        *_waiting(work),
        *_alerts(work),
        *_money(work),
    ]


def _gauge(name: str, what: str, labels: Sequence[str], values: Labelled) -> Metric:
    family = GaugeMetricFamily(f"derpman_{name}", what, labels=labels)
    for names, value in values:
        family.add_metric(names, value)
    return family


def _counter(name: str, what: str, labels: Sequence[str], values: Labelled) -> Metric:
    family = CounterMetricFamily(f"derpman_{name}", what, labels=labels)
    for names, value in values:
        family.add_metric(names, value)
    return family


def _part(some: float | None, whole: float | None) -> float | None:
    return None if some is None or not whole else some / whole


def _age(work: UnitOfWork, instant: datetime | None) -> float | None:
    return None if instant is None else max(0.0, (work.now - instant).total_seconds())


OF_ROW: tuple[tuple[str, str, Callable[[Any], float | None]], ...] = (
    (
        "server_generations_behind",
        "changes that the node has not accepted yet",
        lambda row: max(0, row.Server.desired_generation - row.applied_generation),
    ),
    (
        "server_relays",
        "relays wanted there, which is users",
        lambda row: row.Server.relay_count,
    ),
    ("server_capacity_relays", "relays that it can take", lambda row: row.Server.capacity),
    (
        "server_month_traffic_bytes",
        "sent since its provider began to count anew",
        lambda row: row.Server.month_traffic_bytes,
    ),
    (
        "server_month_allowance_bytes",
        "what it may send in that time; missing where nothing limits it",
        lambda row: row.Server.monthly_allowance_bytes,
    ),
)
"""What a server's row tells: the figure's name, what it is, where it stands."""
OF_HOST: tuple[tuple[str, str, Callable[[dict[str, Any]], float | None]], ...] = (
    ("server_load1", "load of one minute", lambda host: host.get("load1")),
    (
        "server_cpu_ratio",
        f"processors that are busy, {RATIO}",
        lambda host: host.get("cpu_fraction"),
    ),
    (
        "server_memory_ratio",
        f"memory that is used, {RATIO}",
        lambda host: _part(host.get("memory_used_bytes"), host.get("memory_bytes")),
    ),
    (
        "server_disk_free_ratio",
        f"disk that is free, {RATIO}",
        lambda host: _part(host.get("disk_free_bytes"), host.get("disk_bytes")),
    ),
)
"""What its node told last."""


def _servers(work: UnitOfWork) -> Iterator[Metric]:
    rows = work.session.execute(
        select(Server, ServerLink.contact_at, ServerLink.host, ServerLink.applied_generation)
        .join(ServerLink, ServerLink.server_id == Server.id)
        .where(Server.status != ServerStatus.REMOVED)
        .order_by(Server.id)
    ).all()
    labels = {row.Server.id: (str(row.Server.id), row.Server.ip, row.Server.region) for row in rows}
    hosts: dict[int, dict[str, Any]] = {row.Server.id: json.loads(row.host or "{}") for row in rows}

    def of_server(read: Callable[[Any], float | None]) -> list[tuple[Sequence[str], float]]:
        values = ((labels[row.Server.id], read(row)) for row in rows)
        return [(names, value) for names, value in values if value is not None]

    yield _gauge(
        "server_state",
        "the state of health that a server is in: 1",
        (*SERVER, "state"),
        [((*labels[row.Server.id], row.Server.status.value), 1) for row in rows],
    )
    yield _gauge(
        "server_contact_age_seconds",
        "seconds since the node last reported",
        SERVER,
        of_server(lambda row: _age(work, row.contact_at)),
    )
    for name, what, read in OF_ROW:
        yield _gauge(name, what, SERVER, of_server(read))
    for name, what, look in OF_HOST:
        yield _gauge(
            name, what, SERVER, of_server(lambda row, look=look: look(hosts[row.Server.id]))
        )
    yield _counter(
        "server_relayed_bytes",
        "what its relays sent, without our own probes",
        SERVER,
        of_server(lambda row: row.Server.traffic_bytes),
    )
    yield _counter(
        "server_network_bytes",
        "what it sent and received, all together",
        (*SERVER, "direction"),
        [
            ((*labels[id_], way), host[name])
            for id_, host in hosts.items()
            for way, name in (("sent", "net_sent_bytes"), ("received", "net_received_bytes"))
            if name in host
        ],
    )
    yield _counter(
        "server_admissions",
        "connections that its relays asked about, by the answer",
        (*SERVER, "answer"),
        [
            ((*labels[id_], answer), host[answer])
            for id_, host in hosts.items()
            for answer in ("admitted", "refused")
            if answer in host
        ],
    )
    yield _latency(work, labels)


def _latency(work: UnitOfWork, labels: dict[int, tuple[str, str, str]]) -> Metric:
    found = monitoring.readings(
        work, server_ids=list(labels), metrics=[f"{PANEL}.{look}" for look in LOOKS]
    )
    return _gauge(
        "server_latency_seconds",
        "how long the panel's probe of the node, and of a relay of the server, took",
        (*SERVER, "look"),
        [
            ((*labels[server_id], metric.rpartition(".")[2]), milliseconds / 1000)
            for (server_id, metric), (milliseconds, _) in sorted(found.items())
        ],
    )


def _relays(work: UnitOfWork) -> Iterator[Metric]:
    yield _gauge(
        "relays",
        "relays, by what is wanted of them and what their nodes say",
        ("wanted", "observed"),
        [
            ((wanted.value, observed.value), count)
            for wanted, observed, count in containers.counts(work)
        ],
    )
    yield _gauge(
        "moves",
        "moves of relays that are under way",
        ("state",),
        [((state.value,), count) for state, count in ha.counts(work).items()],
    )


def _waiting(work: UnitOfWork) -> Iterator[Metric]:
    """What waits to be done: `sent` is with a worker, `dead` failed for good."""
    deliveries = work.session.execute(
        select(Delivery.status, func.count(), func.min(Delivery.due_at))
        .where(Delivery.status != DeliveryStatus.DONE)
        .group_by(Delivery.status)
    ).all()
    counts = dict.fromkeys((DeliveryStatus.PENDING, DeliveryStatus.SENT, DeliveryStatus.DEAD), 0)
    counts |= {row[0]: row[1] for row in deliveries}
    late = {row[0]: _age(work, row[2]) or 0.0 for row in deliveries}
    yield _gauge(
        "deliveries",
        "events for handlers that are not done",
        ("state",),
        [((state.value,), count) for state, count in counts.items()],
    )
    yield _gauge(
        "delivery_age_seconds",
        "how long the oldest delivery is overdue",
        (),
        [((), max(late.get(DeliveryStatus.PENDING, 0), late.get(DeliveryStatus.SENT, 0)))],
    )
    mails = work.session.execute(
        select(Mail.status, func.count(), func.min(Mail.queued_at))
        .where(Mail.status != MailStatus.SENT)
        .group_by(Mail.status)
    ).all()
    found = dict.fromkeys((MailStatus.QUEUED, MailStatus.SENDING, MailStatus.REFUSED), 0)
    found |= {row[0]: row[1] for row in mails}
    yield _gauge(
        "mails",
        "mails that are not sent",
        ("state",),
        [((state.value,), count) for state, count in found.items()],
    )
    oldest = [_age(work, row[2]) or 0.0 for row in mails if row[0] is not MailStatus.REFUSED]
    yield _gauge(
        "mail_age_seconds", "how long the oldest mail waits", (), [((), max(oldest, default=0.0))]
    )
    measured = work.session.scalar(select(func.max(MonitoringLog.timestamp)))
    yield _gauge(
        "measured_age_seconds",
        "seconds since a sweep last measured: grows when scheduler or tasks stand still",
        (),
        [] if measured is None else [((), _age(work, measured) or 0.0)],
    )


def _alerts(work: UnitOfWork) -> Iterator[Metric]:
    rows = work.session.execute(
        select(SystemAlert.severity, SystemAlert.alert_type, func.count())
        .where(SystemAlert.resolved.is_(False))
        .group_by(SystemAlert.severity, SystemAlert.alert_type)
    ).all()
    yield _gauge(
        "alerts_open",
        "alerts of the panel that are not resolved",
        ("severity", "type"),
        [((severity.value, kind), count) for severity, kind, count in rows],
    )
    yield _gauge(
        "ledger_differences",
        "accounts and orders whose figures differ from the ledger",
        (),
        [((), sum(count for _, kind, count in rows if kind == LEDGER_DIFFERS))],
    )


def _money(work: UnitOfWork) -> Iterator[Metric]:
    rows = work.session.execute(
        select(Order.status, func.count(), func.min(Order.created_at))
        .where(Order.status.in_((OrderStatus.PENDING, OrderStatus.PAID)))
        .group_by(Order.status)
    ).all()
    open_orders = dict.fromkeys((OrderStatus.PENDING, OrderStatus.PAID), 0)
    open_orders |= {row[0]: row[1] for row in rows}
    yield _gauge(
        "orders_open",
        "orders that wait for money, or, paid, for what was bought",
        ("state",),
        [((state.value,), count) for state, count in open_orders.items()],
    )
    paid = work.session.execute(
        select(Order.method, func.count())
        .where(Order.paid_at > work.now - HOUR)
        .group_by(Order.method)
    )
    yield _gauge(
        "orders_paid_last_hour",
        "orders that were paid within an hour, by how",
        ("method",),
        [((method.value,), count) for method, count in paid],
    )
    waiting = work.session.scalar(
        select(func.count(Receipt.id)).where(Receipt.status == ReceiptStatus.WAITING)
    )
    yield _gauge(
        "receipts_waiting", "proofs of transfers that wait for an admin", (), [((), waiting or 0)]
    )
    received, refunded, earned = work.session.execute(
        select(
            func.coalesce(func.sum(FinanceDay.received_fen), 0),
            func.coalesce(func.sum(FinanceDay.refunded_fen), 0),
            func.coalesce(func.sum(FinanceDay.earned_fen), 0),
        ).where(FinanceDay.day == ledger.day_of(work.now))
    ).one()
    yield _gauge(
        "money_today_fen",
        "today's money in fen, Beijing's day: received, refunded, earned",
        ("what",),
        [
            (("received",), int(received)),
            (("refunded",), int(refunded)),
            (("earned",), int(earned)),
        ],
    )


def _queue(depth: int | None) -> Metric:
    return _gauge(
        "queue_messages",
        "messages in Celery's queue; missing while Redis is away",
        (),
        [] if depth is None else [((), depth)],
    )


class Installation(Collector):
    """Keeps the figures for some seconds, however many ask."""

    def __init__(
        self,
        edge: Edge,
        depth: Callable[[], int | None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._edge = edge
        self._depth = depth
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._kept: list[Metric] = []

    def describe(self) -> list[Metric]:
        """Nothing is read when it is registered."""
        return []

    def collect(self) -> list[Metric]:
        """Return figures that are at most some seconds old; one caller reads, others wait."""
        with self._lock:
            if self._monotonic() - self._read_at > FRESH_SECONDS:
                self._kept = [*self._edge.read(collect), _queue(self._depth())]
                self._read_at = self._monotonic()
            return self._kept
