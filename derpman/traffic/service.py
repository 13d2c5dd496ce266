"""Verbs on what rentals may send: periods open and close, quotas are passed, traffic is given."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import func, select, update

from derpman.alerts import service as alerts
from derpman.containers import quotas
from derpman.containers import service as containers
from derpman.containers.quotas import Quota
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.rentals import service as rentals
from derpman.rentals import terms
from derpman.rentals.models import Rental, RentalTerm
from derpman.rentals.states import RentalStatus
from derpman.rentals.terms import Promise
from derpman.servers import service as servers
from derpman.traffic import calendar
from derpman.traffic.errors import NoOpenPeriod, QuarantineNotFound
from derpman.traffic.events import QuotaPassed, TrafficOpened
from derpman.traffic.metering import chunks
from derpman.traffic.models import Quarantine, RelayMeter, TrafficGrant, TrafficPeriod
from derpman.traffic.queries import open_period
from derpman.traffic.shares import Part, levels_passed, next_level_bytes, share
from derpman.traffic.states import TRANSITIONS, VERDICTS, PeriodStatus
from derpman.users import service as users

LEVELS = (80, 95, 100)
FULL = 100


def follow(work: UnitOfWork, *, rental_id: int, user_id: int) -> None:
    """Bring a rental's periods in line with what was bought: after it began, was renewed or ended.

    What reaches beyond the last period becomes periods of its own. A rental that had used up its
    traffic begins the next amount at once, which then lasts until that period would have ended:
    nothing is lost, and nothing is had twice.
    """
    users.lock(work, user_id)
    rental = rentals.get(work, rental_id)
    known = _periods(work, rental_id)
    if rental.status is RentalStatus.ENDED:
        for period in known:
            _close(work, period)
        return
    covered = max((period.ends_at for period in known), default=rental.started_at)
    begins_at = covered if covered > work.now or not known else work.now
    spans = calendar.periods(begins_at, rental.expires_at)
    bought = terms.of_rental(work, rental_id)
    for number, (start, end) in enumerate(spans, len(known) + 1):
        work.session.add(_planned(rental, bought, number, start, end))
    work.session.flush()
    current = open_period(work, rental_id)
    if current is None:
        turn(work, rental_id=rental_id)
        return
    if spans and current.over_at is not None:
        _draw_forward(work, rental, current)
    elif _adopt(rental, bought, current):
        _reopen(work, current)


def _promise(rental: Rental, bought: Sequence[RentalTerm], period_at: datetime) -> Promise:
    """Return what a period that was to begin then may send, of all that is bought now."""
    return terms.at(bought, period_at) or terms.held(rental)


def _planned(
    rental: Rental, bought: Sequence[RentalTerm], number: int, start: datetime, end: datetime
) -> TrafficPeriod:
    promise = _promise(rental, bought, start)
    return TrafficPeriod(
        rental_id=rental.id,
        user_id=rental.user_id,
        number=number,
        status=PeriodStatus.PLANNED,
        starts_at=start,
        planned_at=start,
        ends_at=end,
        plan_bytes=promise.traffic_bytes,
        granted_bytes=0,
        at_quota=promise.over_quota,
        throttle_bytes_per_second=promise.throttle_bytes_per_second,
        base_bytes=0,
        used_bytes=0,
        level=0,
        act_at_bytes=next_level_bytes(0, promise.traffic_bytes, LEVELS),
    )


def _draw_forward(work: UnitOfWork, rental: Rental, current: TrafficPeriod) -> None:
    following = next(one for one in _periods(work, rental.id) if one.status is PeriodStatus.PLANNED)
    _close(work, current)
    following.starts_at = work.now
    _open(work, rental, following)
    work.emit(TrafficOpened(period_id=following.id))


def _adopt(rental: Rental, bought: Sequence[RentalTerm], period: TrafficPeriod) -> bool:
    """Take over what a renewal made better or otherwise; False when nothing differs.

    A smaller amount of traffic holds from the next period on.
    """
    promise = _promise(rental, bought, period.planned_at)
    now = (
        max(promise.traffic_bytes, period.plan_bytes),
        promise.over_quota,
        promise.throttle_bytes_per_second,
    )
    before = (period.plan_bytes, period.at_quota, period.throttle_bytes_per_second)
    period.plan_bytes, period.at_quota, period.throttle_bytes_per_second = now
    return now != before


def turn(work: UnitOfWork, *, rental_id: int) -> None:
    """Close a rental's period whose time is over, and open the one whose time has come."""
    rental = rentals.get(work, rental_id)
    if rental.status is RentalStatus.ENDED:
        return
    current = open_period(work, rental_id)
    if current is not None:
        if current.ends_at > work.now:
            return
        count(work, rental_ids=[rental_id])
        work.session.refresh(current)
        _close(work, current)
    for period in _periods(work, rental_id):
        if period.status is not PeriodStatus.PLANNED or period.starts_at > work.now:
            continue
        if period.ends_at <= work.now:
            _close(work, period)  # nobody was there to open it
            continue
        was_over = current is not None and current.over_at is not None
        _open(work, rental, period)
        if was_over:
            work.emit(TrafficOpened(period_id=period.id))
        return


def _open(work: UnitOfWork, rental: Rental, period: TrafficPeriod) -> None:
    period.status = next_state(TRANSITIONS, period.status, "open")
    period.open_rental_id = rental.id
    # One that was drawn forward has what was bought for its own time, not for the time before.
    promise = _promise(rental, terms.of_rental(work, rental.id), period.planned_at)
    period.plan_bytes, period.at_quota = promise.traffic_bytes, promise.over_quota
    period.throttle_bytes_per_second = promise.throttle_bytes_per_second
    period.base_bytes = int(
        work.session.scalar(
            select(func.coalesce(func.sum(RelayMeter.total_bytes), 0)).where(
                RelayMeter.rental_id == rental.id
            )
        )
        or 0
    )
    period.used_bytes = 0
    work.session.flush()
    _reopen(work, period)


def _close(work: UnitOfWork, period: TrafficPeriod) -> None:
    if period.status is PeriodStatus.OPEN:
        logs.record_history(
            work,
            user_id=period.user_id,
            kind="traffic.period_closed",
            rental_id=period.rental_id,
            detail={
                "number": period.number,
                "starts_at": period.starts_at,
                "used_bytes": period.used_bytes,
                "limit_bytes": period.limit_bytes,
            },
        )
    if period.status is not PeriodStatus.CLOSED:
        period.status = next_state(TRANSITIONS, period.status, "close")
        period.open_rental_id, period.closed_at = None, work.now
        work.session.flush()


def _periods(work: UnitOfWork, rental_id: int) -> list[TrafficPeriod]:
    found = select(TrafficPeriod).where(TrafficPeriod.rental_id == rental_id)
    return list(work.session.scalars(found.order_by(TrafficPeriod.number)))


def grant(work: UnitOfWork, *, user_id: int, granted_bytes: int, reason: str) -> TrafficPeriod:
    """Give a customer more for the period that runs; what stood still for want of it goes on."""
    users.lock(work, user_id)
    rental = rentals.open_rental(work, user_id)
    period = None if rental is None else open_period(work, rental.id)
    if rental is None or period is None:
        raise NoOpenPeriod
    before = period.limit_bytes
    was_over = period.over_at is not None
    period.granted_bytes += granted_bytes
    work.session.add(
        TrafficGrant(
            period_id=period.id,
            user_id=user_id,
            granted_bytes=granted_bytes,
            reason=reason,
            actor_name=work.actor.name,
            created_at=work.now,
        )
    )
    _reopen(work, period)
    if was_over and period.over_at is None:
        work.emit(TrafficOpened(period_id=period.id))
    facts = {"limit_bytes": period.limit_bytes, "granted_bytes": granted_bytes, "reason": reason}
    logs.record(
        work,
        action="traffic.grant",
        object_type="rental",
        object_id=rental.id,
        before={"limit_bytes": before},
        after=facts,
    )
    logs.record_history(
        work, user_id=user_id, kind="traffic.granted", rental_id=rental.id, detail=facts
    )
    return period


def _reopen(work: UnitOfWork, period: TrafficPeriod) -> None:
    """See anew which levels are passed under the limit as it is now, without a word about them."""
    period.level = levels_passed(period.used_bytes, period.limit_bytes, LEVELS)
    period.act_at_bytes = next_level_bytes(period.level, period.limit_bytes, LEVELS)
    if period.level < FULL:
        period.over_at = None
    share_out(work, period)


def count(
    work: UnitOfWork, *, rental_ids: Iterable[int], share_for: Collection[int] = ()
) -> set[int]:
    """Sum up what rentals used; act where a level was passed, and share out anew for `share_for`.

    Returns the rentals whose relays have other shares now.

    Two statements for each thousand rentals; rows are touched one by one only where something is
    to be done.
    """
    shared: set[int] = set()
    for ids in chunks(sorted(set(rental_ids))):
        sent = (
            select(func.coalesce(func.sum(RelayMeter.total_bytes), 0))
            .where(RelayMeter.rental_id == TrafficPeriod.rental_id)
            .scalar_subquery()
        )
        work.session.execute(
            update(TrafficPeriod)
            .where(TrafficPeriod.open_rental_id.in_(ids))
            .values(used_bytes=sent - TrafficPeriod.base_bytes)
            .execution_options(synchronize_session=False)
        )
        passed = (
            select(TrafficPeriod)
            .where(
                TrafficPeriod.open_rental_id.in_(ids),
                TrafficPeriod.used_bytes >= TrafficPeriod.act_at_bytes,
            )
            .order_by(TrafficPeriod.id)
            .execution_options(populate_existing=True)
        )
        for period in work.session.scalars(passed).all():
            _pass_level(work, period)
            shared.add(period.rental_id)
    for ids in chunks(sorted(set(share_for))):
        wanting = (
            select(TrafficPeriod)
            .where(TrafficPeriod.open_rental_id.in_(ids), TrafficPeriod.level < FULL)
            .order_by(TrafficPeriod.id)
            .execution_options(populate_existing=True)
        )
        for period in work.session.scalars(wanting).all():
            share_out(work, period)
            shared.add(period.rental_id)
    return shared


def _pass_level(work: UnitOfWork, period: TrafficPeriod) -> None:
    level = levels_passed(period.used_bytes, period.limit_bytes, LEVELS)
    if level <= period.level:
        return
    period.level = level
    period.act_at_bytes = next_level_bytes(level, period.limit_bytes, LEVELS)
    work.emit(QuotaPassed(period_id=period.id, level=level))
    if level == FULL:
        period.over_at = work.now
        logs.record_history(
            work,
            user_id=period.user_id,
            kind="traffic.used_up",
            rental_id=period.rental_id,
            detail={"limit_bytes": period.limit_bytes, "at_quota": period.at_quota},
        )
    share_out(work, period)


def share_out(work: UnitOfWork, period: TrafficPeriod) -> None:
    """Give each relay of the period's rental its share of what is left; nothing when it is over."""
    placements = containers.placements_of(work, rental_id=period.rental_id)
    if not placements:
        return
    meters = {
        meter.placement_id: meter
        for meter in work.session.scalars(
            select(RelayMeter)
            .where(RelayMeter.placement_id.in_([one.id for one in placements]))
            .order_by(RelayMeter.placement_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    }
    contacts = servers.contacts(work, server_ids=[one.server_id for one in placements])
    parts: list[Part] = []
    rate = 0.0
    for one in placements:
        meter, contact = meters.get(one.id), contacts.get(one.server_id)
        sent = 0 if meter is None else meter.node_bytes
        used = 0 if meter is None else max(0, sent - meter.share_from_bytes)
        is_away = contact is not None and not contact.is_in_touch and one.quota_bytes is not None
        kept = max(0, one.quota_bytes - sent) if is_away and one.quota_bytes is not None else None
        parts.append(Part(one.id, sent, used, kept))
        rate += 0 if contact is None else contact.rates.get(one.id, 0)
    if period.shared_at is not None:
        seconds = max(1.0, (work.now - period.shared_at).total_seconds())
        rate = max(rate, sum(part.used_bytes for part in parts) / seconds)
    is_over = period.level >= FULL
    shares = {part.id: 0 for part in parts} if is_over else share(period.left_bytes, parts, rate)
    wishes: dict[int, Quota] = {}
    for part in parts:
        limit = 0 if is_over else part.sent_bytes + shares[part.id]
        wishes[part.id] = Quota(limit, period.at_quota, period.throttle_bytes_per_second)
        if (meter := meters.get(part.id)) is not None:
            meter.share_from_bytes, meter.share_bytes = part.sent_bytes, shares[part.id]
    period.shared_at = work.now
    work.session.flush()
    quotas.set_quotas(work, quotas=wishes)


def decide(work: UnitOfWork, *, quarantine_id: int, is_billed: bool) -> Quarantine:
    """Bill a count that no line could have carried, or dismiss it for good."""
    held = work.session.get(Quarantine, quarantine_id, with_for_update=True)
    if held is None:
        raise QuarantineNotFound
    held.verdict = next_state(VERDICTS, held.verdict, "bill" if is_billed else "dismiss")
    held.decided_at, held.decided_by = work.now, work.actor.name
    if is_billed:
        meter = work.session.get_one(RelayMeter, held.placement_id, with_for_update=True)
        meter.before_bytes += held.sent_bytes
        work.session.flush()
        count(work, rental_ids=[meter.rental_id])
    alerts.resolve_alert(work, alert_type="traffic_impossible", object_key=str(held.placement_id))
    logs.record(
        work,
        action="traffic.decide",
        object_type="relay",
        object_id=held.placement_id,
        after={"sent_bytes": held.sent_bytes, "verdict": held.verdict},
    )
    return held
