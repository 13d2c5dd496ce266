"""Counters of servers: what their network cards have sent, and what their relays have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update

from derpman.kit.db import Merge, upsert
from derpman.kit.work import UnitOfWork
from derpman.traffic.metering import chunks
from derpman.traffic.models import RelayMeter, ServerMeter


@dataclass(frozen=True, slots=True)
class CardReading:
    """What a server's network card has sent since it booted."""

    sent_bytes: int
    at: datetime


def record_cards(work: UnitOfWork, *, cards: Mapping[int, CardReading]) -> None:
    """Take up what servers' network cards sent, by server; an older reading changes nothing."""
    for ids in chunks(sorted(cards)):
        found = {
            meter.server_id: meter
            for meter in work.session.scalars(
                select(ServerMeter)
                .where(ServerMeter.server_id.in_(ids))
                .order_by(ServerMeter.server_id)
                .with_for_update()
            )
        }
        rows: list[tuple[Any, ...]] = []
        for server_id in ids:
            card, meter = cards[server_id], found.get(server_id)
            if meter is None:
                rows.append((server_id, card.sent_bytes, 0, card.at))
            elif card.at > meter.nic_read_at:
                booted = card.sent_bytes < meter.nic_raw_bytes
                more = card.sent_bytes - (0 if booted else meter.nic_raw_bytes)
                rows.append((server_id, card.sent_bytes, meter.nic_bytes + more, card.at))
        columns = ("nic_raw_bytes", "nic_bytes", "nic_read_at")
        upsert(work.session, ServerMeter, ["server_id"], dict.fromkeys(columns, Merge.PUT), rows)


def sum_relays(work: UnitOfWork) -> None:
    """Sum up for each server what its relays sent: one statement."""
    sent = (
        select(func.coalesce(func.sum(RelayMeter.total_bytes), 0))
        .where(RelayMeter.server_id == ServerMeter.server_id)
        .scalar_subquery()
    )
    work.session.execute(
        update(ServerMeter).values(relay_bytes=sent).execution_options(synchronize_session=False)
    )
