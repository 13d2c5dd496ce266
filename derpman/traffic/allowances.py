"""What servers sent this month, what their providers still allow, and what happens near the end.

A provider counts what the network card sends, so that is what is held against the allowance; a
machine whose card says nothing (relays on loopback) is counted by its relays.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select

from derpman.alerts import service as alerts
from derpman.alerts.models import Severity
from derpman.containers import queries as containers
from derpman.kit.db import Merge, upsert
from derpman.kit.work import UnitOfWork
from derpman.servers import allowances as servers
from derpman.servers import service as server_verbs
from derpman.servers.allowances import Allowance
from derpman.servers.models import AtMargin
from derpman.traffic.calendar import month_of
from derpman.traffic.cards import sum_relays
from derpman.traffic.events import ServerAtMargin, ServerStopped
from derpman.traffic.models import RelayMeter, ServerMeter

NEARLY_PERCENT = 90
"""From here on a server takes nobody new (servers.service.ALLOWANCE_SHARE)."""


def sum_up(work: UnitOfWork) -> None:
    """Sum up what every server sent; act where a margin or a month was passed.

    A handful of statements for all servers; rows are touched one by one only where something is
    to be done.
    """
    _add_missing(work)
    sum_relays(work)
    meters = list(
        work.session.scalars(
            select(ServerMeter)
            .order_by(ServerMeter.server_id)
            .execution_options(populate_existing=True)
        )
    )
    known = servers.allowances(work)
    totals: dict[int, tuple[int, int]] = {}
    near: list[tuple[ServerMeter, Allowance, int, int]] = []
    for meter in meters:
        server = known.get(meter.server_id)
        if server is None:
            continue
        begins_at = month_of(work.now, server.billing_day)
        is_new_month = meter.month_begins_at is None or meter.month_begins_at < begins_at
        if is_new_month:
            _begin_month(meter, is_first=meter.month_begins_at is None)
            meter.month_begins_at = begins_at
        month = max(
            meter.nic_bytes - meter.month_base_nic_bytes,
            meter.relay_bytes - meter.month_base_relay_bytes,
        )
        total = max(meter.nic_bytes, meter.relay_bytes)
        if (total, month) != (server.traffic_bytes, server.month_traffic_bytes):
            totals[meter.server_id] = (total, month)
        near.append((meter, server, server.month_traffic_bytes, month))
    work.session.flush()
    servers.record_traffic(work, totals=totals)
    for meter, server, before, month in near:
        _act(work, meter, server, before, month)


def _add_missing(work: UnitOfWork) -> None:
    missing = work.session.scalars(
        select(RelayMeter.server_id)
        .outerjoin(ServerMeter, ServerMeter.server_id == RelayMeter.server_id)
        .where(ServerMeter.server_id.is_(None))
        .distinct()
    ).all()
    columns = {"nic_raw_bytes": Merge.MOST, "nic_read_at": Merge.MOST}
    rows = [(server_id, 0, work.now) for server_id in missing]
    upsert(work.session, ServerMeter, ["server_id"], columns, rows)


def _begin_month(meter: ServerMeter, *, is_first: bool) -> None:
    """What a server sent before it was counted for the first time belongs to its first month."""
    meter.month_base_nic_bytes = 0 if is_first else meter.nic_bytes
    meter.month_base_relay_bytes = 0 if is_first else meter.relay_bytes
    meter.warned_at = None


def _act(work: UnitOfWork, meter: ServerMeter, server: Allowance, before: int, month: int) -> None:
    allowance = server.monthly_allowance_bytes
    key = str(meter.server_id)
    percent = month * 100 // allowance if allowance else 0
    facts = {"server_id": meter.server_id, "ip": server.ip, "percent": percent}
    if percent >= NEARLY_PERCENT and before * 100 // (allowance or 1) < NEARLY_PERCENT:
        alerts.raise_alert(
            work,
            alert_type="server_allowance",
            severity=Severity.WARNING,
            object_key=key,
            params=facts,
        )
    elif percent < NEARLY_PERCENT and before > month:
        alerts.resolve_alert(work, alert_type="server_allowance", object_key=key)
    is_there = server.margin_percent is not None and percent >= server.margin_percent
    if is_there and meter.warned_at is None:
        meter.warned_at = work.now
        _pass_margin(work, meter, server, facts)
    elif not is_there and (server.is_halted or meter.warned_at is not None):
        meter.warned_at = None
        alerts.resolve_alert(work, alert_type="server_margin", object_key=key)
        if server.is_halted:
            server_verbs.halt(work, server_id=meter.server_id, is_halted=False)


def _pass_margin(
    work: UnitOfWork, meter: ServerMeter, server: Allowance, facts: Mapping[str, object]
) -> None:
    alerts.raise_alert(
        work,
        alert_type="server_margin",
        severity=Severity.CRITICAL,
        object_key=str(meter.server_id),
        params={**facts, "action": server.at_margin},
    )
    work.emit(ServerAtMargin(server_id=meter.server_id, action=server.at_margin))
    if server.at_margin is AtMargin.STOP:
        server_verbs.halt(work, server_id=meter.server_id, is_halted=True)
        for user_id in containers.users_on(work, server_id=meter.server_id):
            work.emit(ServerStopped(server_id=meter.server_id, user_id=user_id))
