"""Selects behind pages about traffic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, func, select

from derpman.containers import service as containers
from derpman.kit.paging import page
from derpman.kit.work import UnitOfWork
from derpman.rentals.models import Rental
from derpman.servers import service as servers
from derpman.traffic.calendar import BEIJING, day_of, hour_of, month_of
from derpman.traffic.models import (
    Quarantine,
    RelayMeter,
    RelayStart,
    ServerDay,
    ServerHour,
    TrafficDay,
    TrafficHour,
    TrafficPeriod,
)
from derpman.traffic.states import PeriodStatus, Verdict

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
RUN_OUT_FROM = timedelta(hours=24)
"""What is left is projected from what was used within this time."""
GAPS = 50


class Step(StrEnum):
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"

    def begin_of(self, instant: datetime) -> datetime:
        if self is Step.HOUR:
            return hour_of(instant)
        return day_of(instant) if self is Step.DAY else month_of(instant, 1)

    def first_of(self, now: datetime, span: int) -> datetime:
        """Return when the first of so many hours, days or months began, of which this is the last.

        Days and months are Beijing's.
        """
        if self is not Step.MONTH:
            return self.begin_of(now - (span - 1) * (HOUR if self is Step.HOUR else DAY))
        years, month = divmod(now.astimezone(BEIJING).month - span, 12)
        return datetime(now.astimezone(BEIJING).year + years, month + 1, 1, tzinfo=BEIJING)


@dataclass(frozen=True)
class Sent:
    """What was sent within one hour, day or month."""

    begins_at: datetime
    sent_bytes: int


@dataclass(frozen=True)
class RelayTraffic:
    """What one relay sent, and how fast it sends now."""

    container_id: int
    slot: int
    server_id: int
    region: str
    sent_bytes: int
    rate_bytes_per_second: int
    read_at: datetime | None


@dataclass(frozen=True)
class Gap:
    """A start of a relay that was killed: what it sent at last is not known, and not billed."""

    container_id: int
    started_at: datetime | None
    ended_at: datetime | None
    sent_bytes: int


def relays_of(work: UnitOfWork, *, rental_id: int) -> list[RelayTraffic]:
    """Return the traffic of a rental's relays, by slot; live rates are those of the last report."""
    placements = containers.placements_of(work, rental_id=rental_id)
    meters = {
        meter.placement_id: meter
        for meter in work.session.scalars(
            select(RelayMeter).where(RelayMeter.placement_id.in_([one.id for one in placements]))
        )
    }
    server_ids = {one.server_id for one in placements}
    regions = servers.regions_of(work, server_ids=server_ids)
    contacts = servers.contacts(work, server_ids=server_ids)
    found: list[RelayTraffic] = []
    for one in placements:
        meter, contact = meters.get(one.id), contacts.get(one.server_id)
        found.append(
            RelayTraffic(
                container_id=one.id,
                slot=one.slot,
                server_id=one.server_id,
                region=regions.get(one.server_id, ""),
                sent_bytes=0 if meter is None else meter.total_bytes,
                rate_bytes_per_second=0 if contact is None else contact.rates.get(one.id, 0),
                read_at=None if meter is None else meter.read_at,
            )
        )
    return found


def gaps_of(work: UnitOfWork, *, user_id: int) -> list[Gap]:
    """Return the newest gaps in a user's counts."""
    rows = work.session.execute(
        select(
            RelayStart.placement_id,
            RelayStart.started_at,
            RelayStart.ended_at,
            RelayStart.sent_bytes,
        )
        .join(RelayMeter, RelayMeter.placement_id == RelayStart.placement_id)
        .where(RelayMeter.user_id == user_id, RelayStart.is_gap)
        .order_by(RelayStart.ended_at.desc())
        .limit(GAPS)
    )
    return [Gap(*row) for row in rows]


def periods_of(work: UnitOfWork, *, user_id: int, limit: int = 24) -> Sequence[TrafficPeriod]:
    """Return a user's newest periods."""
    return work.session.scalars(
        select(TrafficPeriod)
        .where(TrafficPeriod.user_id == user_id)
        .order_by(TrafficPeriod.id.desc())
        .limit(limit)
    ).all()


def open_period(work: UnitOfWork, rental_id: int) -> TrafficPeriod | None:
    """Return the period a rental's traffic counts for now."""
    return work.session.scalar(
        select(TrafficPeriod).where(TrafficPeriod.open_rental_id == rental_id)
    )


def period_of_rental(work: UnitOfWork, rental: Rental | None) -> TrafficPeriod | None:
    """Return the period that runs."""
    return None if rental is None else open_period(work, rental.id)


def run_out(work: UnitOfWork, period: TrafficPeriod) -> datetime | None:
    """Return when a period's traffic will be used up at the pace of the last day.

    None when it will last.
    """
    if period.over_at is not None:
        return period.over_at
    recent = sum(
        one.sent_bytes
        for one in series(
            work, user_id=period.user_id, step=Step.HOUR, since=work.now - RUN_OUT_FROM
        )
    )
    counted = min(RUN_OUT_FROM, work.now - period.starts_at)
    if recent <= 0 or counted <= timedelta(0):
        return None
    seconds = period.left_bytes * counted.total_seconds() / recent
    left = period.ends_at - work.now
    return work.now + timedelta(seconds=seconds) if seconds < left.total_seconds() else None


def series(
    work: UnitOfWork,
    *,
    step: Step,
    since: datetime,
    user_id: int | None = None,
    server_id: int | None = None,
) -> list[Sent]:
    """Return what a user's or a server's relays sent, oldest first, up to this moment."""
    if step is Step.MONTH:
        return _by_month(
            series(work, step=Step.DAY, since=since, user_id=user_id, server_id=server_id)
        )
    table = TrafficHour if step is Step.HOUR else TrafficDay
    since = step.begin_of(since)
    rows = work.session.execute(
        select(table.begins_at, func.sum(table.sent_bytes))
        .where(*_whose(table, user_id, server_id), table.begins_at >= since)
        .group_by(table.begins_at)
    )
    sums = {row[0]: int(row[1]) for row in rows}
    if step is Step.DAY:
        sums |= _unsummed_days(work, since, sums, user_id, server_id)
    now = step.begin_of(work.now)
    sums[now] = sums.get(now, 0) + _unrolled(work, user_id, server_id)
    return [Sent(begins_at, sums[begins_at]) for begins_at in sorted(sums)]


def _by_month(days: Sequence[Sent]) -> list[Sent]:
    sums: dict[datetime, int] = {}
    for one in days:
        month = Step.MONTH.begin_of(one.begins_at)
        sums[month] = sums.get(month, 0) + one.sent_bytes
    return [Sent(begins_at, sent) for begins_at, sent in sums.items()]


def _whose(
    table: type[TrafficHour | TrafficDay | RelayMeter], user_id: int | None, server_id: int | None
) -> Iterable[ColumnElement[bool]]:
    if user_id is not None:
        yield table.user_id == user_id
    if server_id is not None:
        yield table.server_id == server_id


def _unsummed_days(
    work: UnitOfWork,
    since: datetime,
    known: dict[datetime, int],
    user_id: int | None,
    server_id: int | None,
) -> dict[datetime, int]:
    """Return the days that are not summed up yet, from their hours: today, and perhaps another."""
    first = max([since, *(day + DAY for day in known)])
    rows = work.session.execute(
        select(TrafficHour.begins_at, func.sum(TrafficHour.sent_bytes))
        .where(*_whose(TrafficHour, user_id, server_id), TrafficHour.begins_at >= first)
        .group_by(TrafficHour.begins_at)
    )
    sums: dict[datetime, int] = {}
    for begins_at, sent in rows:
        day = day_of(begins_at)
        sums[day] = sums.get(day, 0) + int(sent)
    return sums


def _unrolled(work: UnitOfWork, user_id: int | None, server_id: int | None) -> int:
    """Return what was sent since the last roll-up."""
    open_sum = func.sum(RelayMeter.total_bytes - RelayMeter.rolled_bytes)
    return int(
        work.session.scalar(select(open_sum).where(*_whose(RelayMeter, user_id, server_id))) or 0
    )


@dataclass(frozen=True)
class ServerSent:
    """What a server, or all together, sent within one hour, day or month."""

    begins_at: datetime
    nic_bytes: int
    relay_bytes: int


def server_series(
    work: UnitOfWork, *, step: Step, since: datetime, server_id: int | None = None
) -> list[ServerSent]:
    """Return what servers' cards and relays sent, as rolled up, oldest first."""
    table = ServerHour if step is Step.HOUR else ServerDay
    found = select(table.begins_at, func.sum(table.nic_bytes), func.sum(table.relay_bytes))
    if server_id is not None:
        found = found.where(table.server_id == server_id)
    rows = work.session.execute(
        found.where(table.begins_at >= step.begin_of(since))
        .group_by(table.begins_at)
        .order_by(table.begins_at)
    )
    sums: dict[datetime, tuple[int, int]] = {}
    for at, nic, relays in rows:
        begins_at = step.begin_of(at)
        so_far = sums.get(begins_at, (0, 0))
        sums[begins_at] = (so_far[0] + int(nic), so_far[1] + int(relays))
    return [ServerSent(begins_at, *sent) for begins_at, sent in sums.items()]


@dataclass(frozen=True)
class TopUser:
    user_id: int
    sent_bytes: int


def top_users(work: UnitOfWork, *, server_id: int, since: datetime, limit: int) -> list[TopUser]:
    """Return the users who sent most through a server."""
    sent = func.sum(TrafficHour.sent_bytes)
    rows = work.session.execute(
        select(TrafficHour.user_id, sent)
        .where(TrafficHour.server_id == server_id, TrafficHour.begins_at >= since)
        .group_by(TrafficHour.user_id)
        .order_by(sent.desc(), TrafficHour.user_id)
        .limit(limit)
    )
    return [TopUser(row[0], int(row[1])) for row in rows]


def periods_over(work: UnitOfWork) -> int:
    """Return how many customers have used up their traffic now."""
    return (
        work.session.scalar(
            select(func.count(TrafficPeriod.id)).where(
                TrafficPeriod.open_rental_id.is_not(None), TrafficPeriod.over_at.is_not(None)
            )
        )
        or 0
    )


def due_turns(work: UnitOfWork, *, limit: int) -> list[int]:
    """Return rentals with a period whose time is over, or has come; the longest due first."""
    ended = (
        select(TrafficPeriod.rental_id)
        .where(TrafficPeriod.status == PeriodStatus.OPEN, TrafficPeriod.ends_at <= work.now)
        .order_by(TrafficPeriod.ends_at)
        .limit(limit)
    )
    begun = (
        select(TrafficPeriod.rental_id)
        .where(TrafficPeriod.status == PeriodStatus.PLANNED, TrafficPeriod.starts_at <= work.now)
        .order_by(TrafficPeriod.starts_at)
        .limit(limit)
    )
    found = [*work.session.scalars(ended), *work.session.scalars(begun)]
    return list(dict.fromkeys(found))


def quarantined(
    work: UnitOfWork, *, verdict: Verdict | None, before: int | None, limit: int
) -> tuple[list[Quarantine], int | None]:
    """Return counts that no line could have carried, newest first."""
    found = select(Quarantine)
    if verdict is not None:
        found = found.where(Quarantine.verdict == verdict)
    return page(work.session, found, Quarantine.id, before, limit)
