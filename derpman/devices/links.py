"""Devices of linked tailnets: taken over, and followed by the id that they keep for life.

What a tailnet lists is compared with what is registered here. A node key that changed takes the
old one's place; a device that is gone there goes here. An answer that would take away more than
half is not believed before the customer says so.
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import func, or_, select, update

from derpman.devices import notices, queries, service
from derpman.devices.errors import LinkedNotFound, NothingHeld
from derpman.devices.linkbook import LOOK_AGAIN, Book, Changes, listed_in, registered
from derpman.devices.models import Device, Knock, LinkedDevice
from derpman.devices.states import (
    LINKED_TRANSITIONS,
    DeviceStatus,
    KnockStatus,
    LinkedStatus,
)
from derpman.kit.db import changed
from derpman.kit.outgoing import Outgoing
from derpman.kit.states import next_state
from derpman.kit.work import Edge, UnitOfWork
from derpman.rentals import service as rentals
from derpman.tailnets import service as tailnets
from derpman.tailnets.control import ControlFailure, Peer
from derpman.tailnets.models import TailnetLink
from derpman.tailnets.service import Access
from derpman.tailnets.tailscale import DEVICES_SCOPE
from derpman.users import service as users

LOOKERS = 2
"""How many control servers are asked at once, so that slow ones hold up no other work."""
LEASE = timedelta(seconds=60)
IDLE = timedelta(hours=1)
"""How long a tailnet is left alone whose customer has no service."""
BUDGET_SECONDS = 60
"""How long one call goes on looking; the next sweep continues."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Look:
    """A look at one tailnet that one worker has in hand."""

    access: Access
    lease: int


@dataclass(frozen=True)
class Looker:
    """Looks at what is due. Several may work at once: a tailnet is leased to one of them."""

    run: Edge
    outgoing: Outgoing
    tailscale_url: str
    every: timedelta

    def look_due(self) -> int:
        """Look at the tailnets that are due; return how many that were."""
        ends = time.monotonic() + BUDGET_SECONDS
        looks = 0
        while time.monotonic() < ends:
            look = self.run(lease_next)
            if look is None:
                break
            looks += 1
            self._look(look)
        return looks

    def _look(self, look: Look) -> None:
        access = look.access
        try:
            peers = access.connect(self.outgoing, self.tailscale_url).devices()
        except ControlFailure as failure:
            log.warning("devices not seen", link_id=access.link_id, reason=failure.trouble.value)
            self.run(record_failure, look=look, failure=failure)
            return
        self.run(
            tailnets.record_success,
            link_id=access.link_id,
            generation=access.generation,
            scope=DEVICES_SCOPE,
        )
        self.run(follow, look=look, peers=peers, every=self.every)


def lease_next(work: UnitOfWork) -> Look | None:
    """Take the look in hand that is due longest; None when none is, or enough are under way."""
    under_way = select(func.count(TailnetLink.id)).where(TailnetLink.leased_until > work.now)
    if (work.session.scalar(under_way) or 0) >= LOOKERS:
        return None
    rows = work.session.execute(
        select(TailnetLink.id, TailnetLink.user_id, TailnetLink.leases)
        .where(
            TailnetLink.wants_devices,
            TailnetLink.look_at <= work.now,
            or_(TailnetLink.leased_until.is_(None), TailnetLink.leased_until <= work.now),
            or_(TailnetLink.paused_until.is_(None), TailnetLink.paused_until <= work.now),
        )
        .order_by(TailnetLink.look_at)
        .limit(50)
    ).all()
    if not rows:
        return None
    in_service = users.in_service(work, user_ids=[row.user_id for row in rows])
    idle = [row.id for row in rows if row.user_id not in in_service]
    if idle:  # nobody waits for them; a renewal or a knock brings them back
        _put_off(work, idle, IDLE)
    for row in rows:
        if row.user_id not in in_service:
            continue
        taken = changed(
            work.session,
            update(TailnetLink)
            .where(TailnetLink.id == row.id, TailnetLink.leases == row.leases)
            .values(leases=row.leases + 1, leased_until=work.now + LEASE)
            .execution_options(synchronize_session=False),
        )
        access = tailnets.access(work, link_id=row.id) if taken else None
        if access is not None:
            return Look(access, row.leases + 1)
    return None


def follow(
    work: UnitOfWork, *, look: Look, peers: Sequence[Peer], every: timedelta
) -> Changes | None:
    """Make a customer's devices what his tailnet lists, as far as his plan allows.

    None when the look is not wanted any more: the link was changed, or another look overtook it.
    """
    users.lock(work, look.access.user_id)
    link = _of_look(work, look)
    if link is None:
        return None
    link.looked_at, link.leased_until = work.now, None
    link.look_at = work.now + _spread(every)
    rental = rentals.open_rental(work, link.user_id)
    if rental is None:
        return None
    book = Book(work, user_id=link.user_id, device_limit=rental.device_limit)
    listed = listed_in(peers, look.access.realm)
    book.follow(listed)
    held = book.drop_missing()
    if held and not link.held_removals:
        notices.tell_held(work, user_id=link.user_id, names=held)
    link.held_removals = len(held)
    if not held and any(row.missing_since is not None for row in book.rows.values()):
        link.look_at = work.now + LOOK_AGAIN
    _answer_knocks(work, link, {one.node_key for one in listed})
    if book.changes.are_worth_a_mail:
        notices.tell_followed(work, user_id=link.user_id, changes=book.changes)
    work.session.flush()
    work.wake(service.LIVE_TOPIC)
    work.wake(tailnets.LIVE_TOPIC)
    return book.changes


def record_failure(work: UnitOfWork, *, look: Look, failure: ControlFailure) -> None:
    """Write down that a look failed: nothing is removed, and it is looked again after a pause."""
    pause = tailnets.record_failure(
        work,
        link_id=look.access.link_id,
        generation=look.access.generation,
        failure=failure,
    )
    link = _of_look(work, look)
    if link is not None:
        link.looked_at, link.leased_until = work.now, None
        link.look_at = work.now + _spread(pause)
        _answer_knocks(work, link, ())


def answer_knock(work: UnitOfWork, *, knock_id: int) -> None:
    """Look for a device that knocked in its customer's tailnet; without a link he is told of it."""
    if not look_for(work, knock_id=knock_id):
        notices.tell_knocked(work, knock_id=knock_id)


def look_for(work: UnitOfWork, *, knock_id: int) -> bool:
    """Have a customer's tailnet looked at because an unknown device knocked; False without a link.

    Strangers can knock as often as they like: looks that find nothing come ever more seldom.
    """
    knock = work.session.get(Knock, knock_id)
    link = None if knock is None else tailnets.find(work, user_id=knock.user_id)
    if knock is None or link is None or not link.wants_devices:
        return False
    if knock.status is not KnockStatus.WAITING or tailnets.is_refused(link, DEVICES_SCOPE):
        return False
    knock.is_looked_for = True
    pause = LOOK_AGAIN * 2 ** min(link.fruitless, 8)
    soonest = work.now if link.looked_at is None else max(work.now, link.looked_at + pause)
    if link.look_at is None or soonest < link.look_at:
        link.look_at = soonest
    return True


def look_now(work: UnitOfWork) -> None:
    """Have the actor's tailnet looked at now."""
    link = tailnets.mine(work)
    if link.wants_devices:
        link.look_at = work.now


def look_soon(work: UnitOfWork, *, user_id: int, **_facts: object) -> None:
    """Have a customer's tailnet looked at whose service begins: nobody did while he had none."""
    link = tailnets.find(work, user_id=user_id)
    if link is not None and link.wants_devices:
        link.look_at = work.now


def include(work: UnitOfWork, *, user_id: int, linked_id: int) -> LinkedDevice:
    """Register a device of the tailnet that was left out, or had no room before."""
    row = _linked(work, user_id, linked_id)
    action = "include" if row.status is LinkedStatus.LEFT_OUT else "follow"
    row.status = next_state(LINKED_TRANSITIONS, row.status, action)
    row.device_id = registered(work, row).id
    return row


def leave_out(work: UnitOfWork, *, user_id: int, linked_id: int) -> LinkedDevice:
    """Remove a device of the tailnet from the relays, and keep it out."""
    row = _linked(work, user_id, linked_id)
    row.status = next_state(LINKED_TRANSITIONS, row.status, "leave_out")
    device = None if row.device_id is None else work.session.get(Device, row.device_id)
    if device is not None and device.status is DeviceStatus.REGISTERED:
        service.remove(work, user_id=user_id, device_id=device.id)
    return row


def settle_removals(work: UnitOfWork, *, accept: bool) -> int:
    """Remove the actor's devices that are gone in his tailnet, or keep them without following.

    Returns how many; raises NothingHeld when none wait for his word.
    """
    user_id = work.actor.user_id or 0
    users.lock(work, user_id)
    link = tailnets.mine(work)
    book = Book(work, user_id=user_id, device_limit=0)
    gone = [row for row in book.rows.values() if row.missing_since is not None]
    if not link.held_removals or not gone:
        raise NothingHeld
    for row in gone:
        if accept:
            book.drop(row)
        else:
            work.session.delete(row)
    link.held_removals = 0
    work.wake(tailnets.LIVE_TOPIC)
    return len(gone)


def forget(work: UnitOfWork, *, user_id: int) -> None:
    """Stop following a customer's devices; those that are registered stay so."""
    if tailnets.find(work, user_id=user_id) is None:  # else there is a new link already
        for row in queries.linked_of(work, user_id=user_id):
            work.session.delete(row)


def _linked(work: UnitOfWork, user_id: int, linked_id: int) -> LinkedDevice:
    users.lock(work, user_id)
    row = work.session.get(LinkedDevice, linked_id)
    if row is None or row.user_id != user_id:
        raise LinkedNotFound
    return row


def _of_look(work: UnitOfWork, look: Look) -> TailnetLink | None:
    link = work.session.get(TailnetLink, look.access.link_id, populate_existing=True)
    is_same = (
        link is not None
        and link.generation == look.access.generation
        and link.leases == look.lease
        and link.wants_devices
    )
    return link if is_same else None


def _answer_knocks(work: UnitOfWork, link: TailnetLink, found: Collection[str]) -> None:
    """Tell of devices that knocked since the last look and are none of the tailnet's."""
    waiting = work.session.scalars(
        queries.knocks_of(link.user_id, KnockStatus.WAITING).where(Knock.is_looked_for)
    ).all()
    for knock in waiting:
        knock.is_looked_for = False
        notices.tell_knocked(work, knock_id=knock.id)
    if any(knock.node_key not in found for knock in waiting):
        link.fruitless += 1
    else:
        link.fruitless = 0 if waiting else max(0, link.fruitless - 1)


def _spread(pause: timedelta) -> timedelta:
    """Return about this time, so that looks which began together do not stay together."""
    return pause * random.uniform(0.8, 1.2)  # noqa: S311 # spreads, protects nothing


def _put_off(work: UnitOfWork, link_ids: Sequence[int], pause: timedelta) -> None:
    work.session.execute(
        update(TailnetLink)
        .where(TailnetLink.id.in_(link_ids))
        .values(look_at=work.now + pause)
        .execution_options(synchronize_session=False)
    )
