"""Roll-ups by hour and by day, and whether relays and network cards tell the same."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update

from derpman.alerts import service as alerts
from derpman.alerts.models import Severity
from derpman.kit.db import Merge, upsert
from derpman.kit.work import UnitOfWork
from derpman.servers import allowances as servers
from derpman.servers.models import Transport
from derpman.traffic.calendar import hour_of
from derpman.traffic.cards import sum_relays
from derpman.traffic.models import (
    RelayMeter,
    RelayStart,
    ServerDay,
    ServerHour,
    ServerMeter,
    TrafficDay,
    TrafficHour,
)

BATCH = 5000
"""Relays of one transaction."""
LATE = timedelta(minutes=10)
"""A sweep that runs this long after the hour still closes the hour before."""
KEEP_HOURS = timedelta(days=62)
KEEP_DAYS = timedelta(days=1100)
KEEP_STARTS = timedelta(days=90)
"""A node tells a start's end again for hours at most."""

OVERHEAD = 1.08
"""Bytes on the line for one that a relay sends: frames, TLS and TCP/IP of full packets."""
MOST_OVERHEAD = 1.6
"""The same when much of it is small packets."""
SKEW = 1.02
"""A card and its relays are not read at the same instant."""
NOISE_BYTES = 50_000_000
"""What a server sends besides in an hour: SSH, DNS, updates, acknowledgements."""


def roll_relays(work: UnitOfWork, *, after: int) -> int | None:
    """Put what relays sent since the last sweep into the hour; return where the next batch begins.

    The rows stay locked until the end, so that no byte falls between the two sums.
    """
    begins_at = hour_of(work.now - LATE)
    ids = work.session.scalars(
        select(RelayMeter.placement_id)
        .where(
            RelayMeter.placement_id > after,
            RelayMeter.total_bytes != RelayMeter.rolled_bytes,
        )
        .order_by(RelayMeter.placement_id)
        .limit(BATCH)
    ).all()
    if not ids:
        return None
    span = (
        RelayMeter.placement_id.between(ids[0], ids[-1]),
        RelayMeter.total_bytes != RelayMeter.rolled_bytes,
    )
    quiet = {"synchronize_session": False}
    work.session.execute(
        update(RelayMeter)
        .where(*span)
        .values(rolling_bytes=RelayMeter.total_bytes)
        .execution_options(**quiet)
    )
    moved = RelayMeter.rolling_bytes - RelayMeter.rolled_bytes
    rows = work.session.execute(
        select(
            RelayMeter.placement_id, RelayMeter.server_id, RelayMeter.user_id, moved.label("moved")
        ).where(*span, RelayMeter.rolling_bytes != RelayMeter.rolled_bytes)
    ).all()
    upsert(
        work.session,
        TrafficHour,
        ["placement_id", "begins_at"],
        {"server_id": Merge.PUT, "user_id": Merge.PUT, "sent_bytes": Merge.ADD},
        [(row.placement_id, begins_at, row.server_id, row.user_id, int(row.moved)) for row in rows],
    )
    work.session.execute(
        update(RelayMeter)
        .where(*span)
        .values(rolled_bytes=RelayMeter.rolling_bytes)
        .execution_options(**quiet)
    )
    return ids[-1]


def roll_servers(work: UnitOfWork) -> None:
    """Put what servers sent since the last sweep into the hour; compare cards with relays."""
    begins_at = hour_of(work.now - LATE)
    sum_relays(work)  # cards are newer than the last sum, and the two are compared
    meters = list(
        work.session.scalars(
            select(ServerMeter)
            .order_by(ServerMeter.server_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )
    upsert(
        work.session,
        ServerHour,
        ["server_id", "begins_at"],
        {"nic_bytes": Merge.ADD, "relay_bytes": Merge.ADD},
        [
            (
                one.server_id,
                begins_at,
                one.nic_bytes - one.rolled_nic_bytes,
                one.relay_bytes - one.rolled_relay_bytes,
            )
            for one in meters
        ],
    )
    known = servers.allowances(work)
    for one in meters:
        server = known.get(one.server_id)
        if server is not None and server.transport is not Transport.LOCAL:
            compare(
                work,
                server_id=one.server_id,
                ip=server.ip,
                nic_bytes=one.nic_bytes - one.rolled_nic_bytes,
                relay_bytes=one.relay_bytes - one.rolled_relay_bytes,
            )
    work.session.execute(
        update(ServerMeter)
        .values(rolled_nic_bytes=ServerMeter.nic_bytes, rolled_relay_bytes=ServerMeter.relay_bytes)
        .execution_options(synchronize_session=False)
    )


def drift(*, nic_bytes: int, relay_bytes: int) -> str | None:
    """Tell what is odd about what a card and its relays sent in the same time, or None.

    `relays` means that relays claim more than went out: customers would pay too much. `card`
    means that much went out which no relay claims.
    """
    if nic_bytes == 0:
        return None  # a card that tells nothing
    if relay_bytes > nic_bytes * SKEW + NOISE_BYTES // 10:
        return "relays"
    if nic_bytes > relay_bytes * MOST_OVERHEAD + NOISE_BYTES:
        return "card"
    return None


def compare(work: UnitOfWork, *, server_id: int, ip: str, nic_bytes: int, relay_bytes: int) -> None:
    """Raise or resolve the alert about a server whose card and relays do not tell the same."""
    odd = drift(nic_bytes=nic_bytes, relay_bytes=relay_bytes)
    if odd is None:
        alerts.resolve_alert(work, alert_type="traffic_drift", object_key=str(server_id))
        return
    alerts.raise_alert(
        work,
        alert_type="traffic_drift",
        severity=Severity.WARNING,
        object_key=str(server_id),
        params={
            "server_id": server_id,
            "ip": ip,
            "card_megabytes": nic_bytes // 1_000_000,
            "relay_megabytes": relay_bytes // 1_000_000,
            "expected_megabytes": round(relay_bytes * OVERHEAD / 1_000_000),
            "which": odd,
        },
    )


def sum_day(work: UnitOfWork, *, day: datetime, after: int) -> int | None:
    """Sum up a day's hours of some relays; return where the next batch begins. May be repeated."""
    in_day = (TrafficHour.begins_at >= day, TrafficHour.begins_at < day + timedelta(days=1))
    rows = work.session.execute(
        select(
            TrafficHour.placement_id,
            TrafficHour.server_id,
            TrafficHour.user_id,
            func.sum(TrafficHour.sent_bytes).label("sent"),
        )
        .where(TrafficHour.placement_id > after, *in_day)
        .group_by(TrafficHour.placement_id, TrafficHour.server_id, TrafficHour.user_id)
        .order_by(TrafficHour.placement_id)
        .limit(BATCH)
    ).all()
    upsert(
        work.session,
        TrafficDay,
        ["placement_id", "begins_at"],
        {"server_id": Merge.PUT, "user_id": Merge.PUT, "sent_bytes": Merge.PUT},
        [(row.placement_id, day, row.server_id, row.user_id, int(row.sent)) for row in rows],
    )
    return rows[-1].placement_id if rows else None


def sum_server_day(work: UnitOfWork, *, day: datetime) -> None:
    """Sum up a day's hours of all servers. May be repeated."""
    rows = work.session.execute(
        select(
            ServerHour.server_id,
            func.sum(ServerHour.nic_bytes).label("nic"),
            func.sum(ServerHour.relay_bytes).label("relays"),
        )
        .where(ServerHour.begins_at >= day, ServerHour.begins_at < day + timedelta(days=1))
        .group_by(ServerHour.server_id)
    )
    upsert(
        work.session,
        ServerDay,
        ["server_id", "begins_at"],
        {"nic_bytes": Merge.PUT, "relay_bytes": Merge.PUT},
        [(row.server_id, day, int(row.nic), int(row.relays)) for row in rows],
    )


def forget_oldest(work: UnitOfWork) -> bool:
    """Delete one hour or day that was kept long enough; tell whether there may be more."""
    for table, keep in (
        (TrafficHour, KEEP_HOURS),
        (ServerHour, KEEP_HOURS),
        (TrafficDay, KEEP_DAYS),
        (ServerDay, KEEP_DAYS),
    ):
        oldest = work.session.scalar(select(func.min(table.begins_at)))
        if oldest is not None and oldest < work.now - keep:
            work.session.execute(
                delete(table)
                .where(table.begins_at == oldest)
                .execution_options(synchronize_session=False)
            )
            return True
    work.session.execute(
        delete(RelayStart)
        .where(~RelayStart.is_gap, RelayStart.ended_at < work.now - KEEP_STARTS)
        .execution_options(synchronize_session=False)
    )
    return False
