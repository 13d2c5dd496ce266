"""Counters of relays: what nodes report becomes totals, once, whatever comes twice.

A node counts each start of a relay from zero and tells the sum so far, again and again. The mark of
a start only moves up to what was told, so a report that is repeated, late, or from a worker that
lost the server adds nothing. What a rental or a server sent is a sum of marks: nothing is ever
added to it. Starts that ended are written in the transaction that moves the node's cursor past
them; counts of running ones may wait, since the next report holds them too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import select, tuple_

from derpman.containers import queries as containers
from derpman.kit.db import Merge, upsert
from derpman.kit.work import UnitOfWork
from derpman.traffic.models import RelayMeter, RelayStart, TrafficPeriod
from derpman.traffic.quarantine import can_be, hold

CHUNK = 1000
JITTER_BYTES = 4096
"""By so much a node's own sum may differ from ours: a probe it learned of a moment later."""

METER_COLUMNS: tuple[str, ...] = (
    "placement_id",
    "server_id",
    "user_id",
    "rental_id",
    "start_id",
    "start_number",
    "start_bytes",
    "before_bytes",
    "node_before_bytes",
    "read_at",
)
START_COLUMNS: tuple[str, ...] = (
    "placement_id",
    "start_id",
    "sent_bytes",
    "started_at",
    "ended_at",
    "is_gap",
)
Starts = dict[tuple[int, str], RelayStart]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading:
    """What one start of a relay has sent by an instant, less the node's own probes."""

    placement_id: int
    server_id: int
    start_id: str
    sent_bytes: int
    node_before_bytes: int
    at: datetime


@dataclass(slots=True)
class Known:
    """What is written down of a relay, as far as a worker knows."""

    server_id: int
    rental_id: int
    start_id: str | None
    start_number: int
    sent_bytes: int
    node_before_bytes: int
    read_at: datetime
    is_shared: bool
    """The relay has a share of what its rental has left."""
    alarm_bytes: int | None
    """When the node's sum comes here, what the rental has left is shared out anew."""

    @classmethod
    def of(cls, meter: RelayMeter) -> Known:
        share = meter.share_bytes
        return cls(
            meter.server_id,
            meter.rental_id,
            meter.start_id,
            meter.start_number,
            meter.start_bytes,
            meter.node_before_bytes,
            meter.read_at,
            share is not None,
            None if not share else meter.share_from_bytes + share // 2,
        )

    def follows(self, reading: Reading) -> bool:
        """Tell whether the reading is of the start we know, as its node counted it before."""
        moved = abs(reading.node_before_bytes - self.node_before_bytes)
        return reading.start_id == self.start_id and moved <= JITTER_BYTES

    def can_be(self, reading: Reading, line_bytes_per_second: int) -> bool:
        """Tell whether a line could have carried it since the last reading."""
        return can_be(reading.sent_bytes - self.sent_bytes, self.read_at, reading.at,
                      line_bytes_per_second)  # fmt: skip


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield a thousand at a time."""
    whole = list(items)
    for start in range(0, len(whole), CHUNK):
        yield whole[start : start + CHUNK]


def known(work: UnitOfWork, placement_ids: Iterable[int]) -> dict[int, Known]:
    """Return what is written down of relays."""
    return {
        meter.placement_id: Known.of(meter)
        for ids in chunks(placement_ids)
        for meter in work.session.scalars(
            select(RelayMeter).where(RelayMeter.placement_id.in_(ids))
        )
    }


def known_of_rentals(work: UnitOfWork, rental_ids: Iterable[int]) -> dict[int, Known]:
    """Return what is written down of rentals' relays."""
    return {
        meter.placement_id: Known.of(meter)
        for ids in chunks(rental_ids)
        for meter in work.session.scalars(select(RelayMeter).where(RelayMeter.rental_id.in_(ids)))
    }


def known_shared_since(work: UnitOfWork, since: datetime) -> dict[int, Known]:
    """Return what is written down of relays that got a new share."""
    return {
        meter.placement_id: Known.of(meter)
        for meter in work.session.scalars(
            select(RelayMeter)
            .join(TrafficPeriod, TrafficPeriod.open_rental_id == RelayMeter.rental_id)
            .where(TrafficPeriod.shared_at >= since)
        )
    }


def record(
    work: UnitOfWork,
    *,
    readings: Sequence[Reading],
    book: Mapping[int, Known],
    line_bytes_per_second: int,
) -> dict[int, Known]:
    """Take readings up; return what is written down then, of the relays that moved.

    `book` is what the caller believes to be written; relays that are not in it are looked up.
    """
    readings = list({reading.placement_id: reading for reading in readings}.values())
    strange = {reading.placement_id for reading in readings} - book.keys()
    book = {**book, **known(work, strange)} if strange else book
    plain: list[Reading] = []
    others: list[Reading] = []
    for reading in readings:
        one = book.get(reading.placement_id)
        if one is not None and one.server_id != reading.server_id:
            continue  # a node speaks for its own relays only
        if one is not None and one.follows(reading) and one.can_be(reading, line_bytes_per_second):
            if reading.sent_bytes > one.sent_bytes:
                plain.append(reading)
        else:
            others.append(reading)
    upsert(
        work.session,
        RelayMeter,
        ["placement_id"],
        {"start_number": Merge.PUT, "start_bytes": Merge.MOST, "read_at": Merge.PUT},
        [
            (one.placement_id, book[one.placement_id].start_number, one.sent_bytes, one.at)
            for one in plain
        ],
        only_same="start_number",
    )
    moved = {one.placement_id: _moved(book[one.placement_id], one) for one in plain}
    for part in chunks(others):
        moved |= _record_others(work, part, line_bytes_per_second)
    return moved


def _moved(before: Known, reading: Reading) -> Known:
    return Known(
        before.server_id,
        before.rental_id,
        before.start_id,
        before.start_number,
        reading.sent_bytes,
        before.node_before_bytes,
        reading.at,
        before.is_shared,
        before.alarm_bytes,
    )


def _record_others(
    work: UnitOfWork, readings: Sequence[Reading], line_bytes_per_second: int
) -> dict[int, Known]:
    """Take up readings of new relays and new starts, and those that cannot be."""
    meters = _meters(work, {reading.placement_id: reading.server_id for reading in readings})
    starts = _starts(work, [(reading.placement_id, reading.start_id) for reading in readings])
    for reading in readings:
        meter = meters.get(reading.placement_id)
        if meter is None:
            continue
        row = starts.get((reading.placement_id, reading.start_id))
        since = meter.read_at
        if meter.start_id == reading.start_id:
            more = max(0, reading.sent_bytes - meter.start_bytes)
            meter.start_bytes += more
        elif row is not None:
            more = _top_up(meter, row, reading.sent_bytes)
        else:
            more = reading.sent_bytes
            _leave_start(meter, starts)
            meter.start_id, meter.start_bytes = reading.start_id, more
            meter.start_number += 1
        if row is None:
            meter.node_before_bytes = reading.node_before_bytes
        meter.read_at = max(since, reading.at)
        if not can_be(more, since, reading.at, line_bytes_per_second):
            hold(work, meter, more, since, reading.at)
    _write(work, meters, starts)
    return {
        reading.placement_id: Known.of(meters[reading.placement_id])
        for reading in readings
        if reading.placement_id in meters
    }


def finish(
    work: UnitOfWork,
    *,
    server_id: int,
    starts: Sequence[Mapping[str, Any]],
    line_bytes_per_second: int,
) -> set[int]:
    """Take up starts that ended, as the node protocol tells them; return the rentals they are of.

    One that was told before changes nothing. A gap is kept as a gap: what was sent after the last
    reading of a killed relay is not known, and not billed.
    """
    meters = _meters(work, {int(start["relay"]): server_id for start in starts})
    rows = _starts(work, [(int(start["relay"]), str(start["start_id"])) for start in starts])
    for start in starts:
        meter = meters.get(int(start["relay"]))
        if meter is None:
            continue
        start_id, sent = str(start["start_id"]), start["sent_bytes"] - start["probe_bytes"]
        began, ended = _instant(start["started_at"]), _instant(start["ended_at"])
        key = (meter.placement_id, start_id)
        since = meter.read_at
        row = rows.get(key)
        if meter.start_id == start_id:
            sent = max(sent, meter.start_bytes)
            more = sent - meter.start_bytes
            meter.start_bytes = sent
            meter.node_before_bytes += sent
            row = _leave_start(meter, rows)
            meter.start_number += 1
        else:
            if row is not None:
                more = _top_up(meter, row, sent)
            else:
                more = max(0, sent)
                since = min(since, began)  # nothing was heard while it ran
                row = rows[key] = _start(meter, start_id, more)
                meter.before_bytes += more
            if meter.start_id is None:  # else what runs now was counted on top of it by its node
                meter.node_before_bytes += more
        if row is not None:
            row.started_at, row.ended_at, row.is_gap = began, ended, bool(start["gap"])
        meter.read_at = max(meter.read_at, ended)
        if not can_be(more, since, ended, line_bytes_per_second):
            hold(work, meter, more, since, ended)
    _write(work, meters, rows)
    return {meter.rental_id for meter in meters.values()}


def _start(meter: RelayMeter, start_id: str, sent_bytes: int) -> RelayStart:
    return RelayStart(
        placement_id=meter.placement_id,
        start_id=start_id,
        sent_bytes=sent_bytes,
        started_at=None,
        ended_at=None,
        is_gap=False,
    )


def _leave_start(meter: RelayMeter, starts: Starts) -> RelayStart | None:
    """Close the count of the start that ran, if one did."""
    if meter.start_id is None:
        return None
    row = _start(meter, meter.start_id, meter.start_bytes)
    starts[meter.placement_id, meter.start_id] = row
    meter.before_bytes += meter.start_bytes
    meter.start_id, meter.start_bytes = None, 0
    return row


def _top_up(meter: RelayMeter, row: RelayStart, sent_bytes: int) -> int:
    """Count what a start that is over sent beyond what we knew."""
    more = max(0, sent_bytes - row.sent_bytes)
    row.sent_bytes += more
    meter.before_bytes += more
    return more


def _meters(work: UnitOfWork, servers: Mapping[int, int]) -> dict[int, RelayMeter]:
    """Return meters, locked, of relays that are on the server that speaks; new ones are made.

    Like starts they are taken out of the session: `_write` writes them, many at a time.
    """
    found = {
        meter.placement_id: meter
        for meter in work.session.scalars(
            select(RelayMeter)
            .where(RelayMeter.placement_id.in_(servers))
            .order_by(RelayMeter.placement_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    }
    strange = [placement_id for placement_id in servers if placement_id not in found]
    if strange:
        for owner in containers.owners(work, placement_ids=strange):
            found[owner.placement_id] = RelayMeter(
                placement_id=owner.placement_id,
                server_id=owner.server_id,
                user_id=owner.user_id,
                rental_id=owner.rental_id,
                start_number=0,
                start_bytes=0,
                before_bytes=0,
                node_before_bytes=0,
                share_from_bytes=0,
                read_at=owner.created_at,
            )
    for meter in found.values():
        if meter in work.session:
            work.session.expunge(meter)
    return {id_: meter for id_, meter in found.items() if meter.server_id == servers[id_]}


def _starts(work: UnitOfWork, keys: Sequence[tuple[int, str]]) -> Starts:
    rows = work.session.scalars(
        select(RelayStart)
        .where(tuple_(RelayStart.placement_id, RelayStart.start_id).in_(keys))
        .execution_options(populate_existing=True)
    ).all()
    for row in rows:
        work.session.expunge(row)
    return {(row.placement_id, row.start_id): row for row in rows}


def _write(work: UnitOfWork, meters: Mapping[int, RelayMeter], starts: Starts) -> None:
    """Write locked meters and starts."""
    values = [[getattr(row, name) for name in METER_COLUMNS] for row in meters.values()]
    columns = dict.fromkeys(METER_COLUMNS[1:], Merge.PUT)
    upsert(work.session, RelayMeter, METER_COLUMNS[:1], columns, values)
    values = [[getattr(row, name) for name in START_COLUMNS] for row in starts.values()]
    columns = dict.fromkeys(START_COLUMNS[2:], Merge.PUT)
    upsert(work.session, RelayStart, START_COLUMNS[:2], columns, values)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
