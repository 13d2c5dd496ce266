"""What is odd in a customer's traffic: too fast, used up, or far more than he is used to.

Each function returns all that is so now; `containers.reactions` makes the alerts of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select

from derpman.alerts import rules
from derpman.containers.reactions import Finding
from derpman.kit.db import Merge, upsert
from derpman.kit.work import UnitOfWork
from derpman.servers import allowances
from derpman.servers import service as servers
from derpman.traffic.calendar import hour_of
from derpman.traffic.metering import chunks
from derpman.traffic.models import RateWatch, RelayMeter, TrafficHour, TrafficPeriod
from derpman.traffic.rollups import LATE
from derpman.traffic.states import PeriodStatus

MEGABYTE = 1_000_000
GIGABYTE = 1_000_000_000
RELAYS = 3
KNOWN_WEEKS = 2
"""A past shorter than this many weeks tells nothing of a week's hours."""
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)


def watch_rates(work: UnitOfWork) -> list[Finding]:
    """Return whose mean rate was too high in the last window of minutes.

    Live rates say who is worth a watch; what his counters moved by in the window decides. Rows
    are read and written of those who are fast or were, and of nobody else.
    """
    rule = rules.rule(work, rules.RATE_TOO_HIGH)
    if not rule.is_enabled:
        return []
    limit = rule.thresholds["megabytes_per_second"] * MEGABYTE
    window = timedelta(minutes=rule.thresholds["minutes"])
    watched = {watch.user_id: watch for watch in work.session.scalars(select(RateWatch))}
    fast = _fast_users(work, limit // 2)
    totals = _totals(work, fast | watched.keys())
    written: list[tuple[int, datetime, int, int]] = []
    slow: list[int] = []
    found: list[Finding] = []
    for user_id, total in totals.items():
        watch = watched.get(user_id)
        if watch is None:
            written.append((user_id, work.now, total, 0))
            continue
        mean, minutes = watch.bytes_per_second, window
        if work.now - watch.since >= window:
            minutes = work.now - watch.since
            mean = round(max(0, total - watch.from_bytes) / minutes.total_seconds())
            if mean >= limit or user_id in fast:
                written.append((user_id, work.now, total, mean))
            else:
                slow.append(user_id)
        if mean >= limit:
            facts = {
                "megabytes_per_second": round(mean / MEGABYTE, 1),
                "minutes": round(minutes.total_seconds() / 60),
                "limit": limit // MEGABYTE,
            }
            found.append(Finding(str(user_id), user_id, facts))
    columns = {"since": Merge.PUT, "from_bytes": Merge.PUT, "bytes_per_second": Merge.PUT}
    upsert(work.session, RateWatch, ["user_id"], columns, written)
    for ids in chunks(slow):
        work.session.execute(delete(RateWatch).where(RateWatch.user_id.in_(ids)))
    return found


def _fast_users(work: UnitOfWork, bytes_per_second: int) -> set[int]:
    """Return whose relays together send that fast now."""
    contacts = servers.contacts(work, server_ids=allowances.allowances(work))
    rates = {
        relay: rate
        for contact in contacts.values()
        for relay, rate in contact.rates.items()
        if rate * RELAYS >= bytes_per_second  # one of three at least is as fast as a third
    }
    by_user: dict[int, int] = defaultdict(int)
    for ids in chunks(rates):
        owners = select(RelayMeter.placement_id, RelayMeter.user_id)
        for relay, user_id in work.session.execute(owners.where(RelayMeter.placement_id.in_(ids))):
            by_user[user_id] += rates[relay]
    return {user_id for user_id, rate in by_user.items() if rate >= bytes_per_second}


def _totals(work: UnitOfWork, user_ids: Iterable[int]) -> dict[int, int]:
    return {
        user_id: int(total)
        for ids in chunks(sorted(user_ids))
        for user_id, total in work.session.execute(
            select(RelayMeter.user_id, func.sum(RelayMeter.total_bytes))
            .where(RelayMeter.user_id.in_(ids))
            .group_by(RelayMeter.user_id)
        )
    }


def used_up(work: UnitOfWork) -> list[Finding]:
    """Return whose traffic of the period is used up."""
    if not rules.rule(work, rules.QUOTA_PASSED).is_enabled:
        return []
    over = select(TrafficPeriod).where(
        TrafficPeriod.status == PeriodStatus.OPEN, TrafficPeriod.over_at.is_not(None)
    )
    return [
        Finding(
            str(period.user_id),
            period.user_id,
            {"limit_gigabytes": round(period.limit_bytes / GIGABYTE, 2), "since": period.over_at},
        )
        for period in work.session.scalars(over)
    ]


def sudden_changes(work: UnitOfWork) -> list[Finding]:
    """Return who sent far more in the last whole hour than in the same hours of his past weeks.

    The past is the mean over the weeks he is known for, of the busiest of that hour and its two
    neighbours in each: a weekly job that begins an hour later is no change.
    """
    rule = rules.rule(work, rules.SUDDEN_CHANGE)
    if not rule.is_enabled:
        return []
    hour = hour_of(work.now - LATE) - HOUR
    least = rule.thresholds["gigabytes_more"] * GIGABYTE
    sent = {
        user_id: int(total)
        for user_id, total in work.session.execute(
            select(TrafficHour.user_id, func.sum(TrafficHour.sent_bytes))
            .where(TrafficHour.begins_at == hour)
            .group_by(TrafficHour.user_id)
            .having(func.sum(TrafficHour.sent_bytes) >= least)
        )
    }
    found: list[Finding] = []
    for ids in chunks(sorted(sent)):
        usual = _usual(work, ids, hour, rule.thresholds["weeks"])
        for user_id, before in usual.items():
            more = sent[user_id] - before
            if more >= least and sent[user_id] >= before * rule.thresholds["factor"]:
                facts = {
                    "gigabytes": round(sent[user_id] / GIGABYTE, 2),
                    "usual_gigabytes": round(before / GIGABYTE, 2),
                    "hour": hour,
                }
                found.append(Finding(str(user_id), user_id, facts))
    return found


def _usual(work: UnitOfWork, user_ids: list[int], hour: datetime, weeks: int) -> Mapping[int, int]:
    """Return what users send in an hour of the week, by their past; not of those without one."""
    oldest = (
        select(TrafficHour.user_id, func.min(TrafficHour.begins_at))
        .where(TrafficHour.user_id.in_(user_ids))
        .group_by(TrafficHour.user_id)
    )
    first = {row[0]: row[1] for row in work.session.execute(oldest)}
    wanted = [
        hour - WEEK * week + HOUR * shift for week in range(1, weeks + 1) for shift in (-1, 0, 1)
    ]
    busiest: dict[int, dict[int, int]] = defaultdict(dict)
    for user_id, begins_at, total in work.session.execute(
        select(TrafficHour.user_id, TrafficHour.begins_at, func.sum(TrafficHour.sent_bytes))
        .where(TrafficHour.user_id.in_(user_ids), TrafficHour.begins_at.in_(wanted))
        .group_by(TrafficHour.user_id, TrafficHour.begins_at)
    ):
        week = round((hour - begins_at) / WEEK)
        busiest[user_id][week] = max(int(total), busiest[user_id].get(week, 0))
    usual: dict[int, int] = {}
    for user_id in user_ids:
        known = min(weeks, int((hour + HOUR - first[user_id]) / WEEK))
        if known >= KNOWN_WEEKS:
            past = (busiest[user_id].get(week, 0) for week in range(1, known + 1))
            usual[user_id] = sum(past) // known
    return usual
