"""What nodes report of devices: who knocks, and who is connected."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, delete, event, or_, select, update

from derpman.containers.models import Placement
from derpman.devices import anomalies, queries, service
from derpman.devices.errors import NotANodeKey
from derpman.devices.events import DeviceKnocked
from derpman.devices.keys import node_key
from derpman.devices.models import Device, Knock, Presence
from derpman.devices.states import KNOCK_TRANSITIONS, KnockStatus
from derpman.kit.places import place_of
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork

MAX_WAITING = 200
"""Waiting devices kept per customer: a flood pushes out the oldest, not the database."""
MAX_OF_NETWORK = 60
"""Of them from one network, so that a flood pushes out its own and not the device he waits for."""
TELL_AGAIN_AFTER = timedelta(hours=24)
PAGE_SECONDS = 12.0

Connections = dict[tuple[int, str], str]
"""(relay, node key) to the address it is connected from."""


def record_knocks(work: UnitOfWork, *, server_id: int, knocks: Sequence[Mapping[str, Any]]) -> None:
    """Record devices that tried a relay; in a pairing window they are taken up at once.

    Knocks of relays that this server does not carry are dropped: a node speaks for its own only.
    """
    relays = {int(knock["relay"]) for knock in knocks}
    owners = {
        row.id: row
        for row in work.session.execute(
            select(Placement.id, Placement.user_id, Placement.slot).where(
                Placement.id.in_(relays), Placement.server_id == server_id
            )
        )
    }
    by_user: dict[int, dict[str, tuple[Mapping[str, Any], int]]] = defaultdict(dict)
    for knock in knocks:
        owner = owners.get(int(knock["relay"]))
        if owner is None:
            continue
        try:
            key = node_key(str(knock["key"]))
        except NotANodeKey:
            continue
        by_user[owner.user_id][key] = (knock, owner.slot)
    for user_id in sorted(by_user):
        _record_knocks_of(work, user_id, by_user[user_id])


def _record_knocks_of(
    work: UnitOfWork, user_id: int, knocks: dict[str, tuple[Mapping[str, Any], int]]
) -> None:
    registered = queries.registered_keys(work, user_id=user_id)
    known = {
        knock.node_key: knock
        for knock in work.session.scalars(
            select(Knock).where(Knock.user_id == user_id, Knock.node_key.in_(knocks))
        )
    }
    window = queries.pairing(work, user_id=user_id)
    for key, (reported, slot) in knocks.items():
        if key in registered:
            continue  # registered since: its next try succeeds
        knock = known.get(key)
        is_news = knock is None or work.now - knock.last_at > TELL_AGAIN_AFTER
        if knock is None:
            knock = Knock(
                user_id=user_id,
                node_key=key,
                status=KnockStatus.WAITING,
                count=0,
                first_at=work.now,
            )
            work.session.add(knock)
        elif knock.status is KnockStatus.APPROVED:  # it was removed since, and is here again
            knock.status = next_state(KNOCK_TRANSITIONS, knock.status, "knock")
            is_news = True
        address = str(reported["address"])[:45]
        knock.ip_address, knock.location = address, place_of(address).label_zh[:128]
        knock.slot, knock.last_at = slot, work.now
        knock.count += 1
        work.session.flush()
        if knock.status is KnockStatus.BLOCKED:
            continue
        if window is not None and service.take_up(work, window, knock):
            continue
        if is_news:
            work.emit(DeviceKnocked(knock_id=knock.id))
    _forget_oldest(work, user_id)
    work.wake(service.LIVE_TOPIC)


def _forget_oldest(work: UnitOfWork, user_id: int) -> None:
    waiting = work.session.execute(
        select(Knock.id, Knock.ip_address)
        .where(Knock.user_id == user_id, Knock.status == KnockStatus.WAITING)
        .order_by(Knock.last_at.desc())
    ).all()
    kept: Counter[str | None] = Counter()
    surplus: list[int] = []
    for knock_id, address in waiting:
        network = anomalies.network_of(address)
        if kept.total() >= MAX_WAITING or kept[network] >= MAX_OF_NETWORK:
            surplus.append(knock_id)
        else:
            kept[network] += 1
    if surplus:
        work.session.execute(delete(Knock).where(Knock.id.in_(surplus)))


class PresenceBook:
    """What one worker knows to be written of who is connected, so that it writes changes only.

    A server's page is torn out when the worker has not heard of the server for a while: another
    may have held it meanwhile. Leases last longer than that (`servers.leases`).
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pages: dict[int, tuple[float, Connections]] = {}
        self._monotonic = monotonic

    def page(self, server_id: int) -> Connections | None:
        """Return what is written of a server, or None when the table must be asked."""
        read_at, page = self._pages.get(server_id, (-math.inf, None))
        return page if self._monotonic() - read_at < PAGE_SECONDS else None

    def keep(self, server_id: int, page: Connections) -> None:
        """Remember what a committed transaction left."""
        self._pages[server_id] = (self._monotonic(), page)


def record_presence(
    work: UnitOfWork, *, server_id: int, snapshot: Mapping[str, Any], book: PresenceBook
) -> None:
    """Write who came and who left since the last snapshot of this server."""
    written = book.page(server_id)
    if written is None:
        rows = work.session.execute(
            select(Presence.placement_id, Presence.node_key, Presence.address).where(
                Presence.server_id == server_id
            )
        )
        written = {(row.placement_id, row.node_key): row.address for row in rows}
    wanted = _wanted(written, snapshot)
    gone = [key for key in written if wanted.get(key) != written[key]]
    come = [key for key in wanted if written.get(key) != wanted[key]]
    for start in range(0, len(gone), 200):
        pairs = [
            and_(Presence.placement_id == relay, Presence.node_key == key)
            for relay, key in gone[start : start + 200]
        ]
        work.session.execute(delete(Presence).where(or_(*pairs)))
    owners = _owners(work, server_id, {relay for relay, _ in come})
    seen: dict[int, set[str]] = defaultdict(set)
    for relay, key in come:
        owner = owners.get(relay)
        if owner is None:
            wanted.pop((relay, key))
            continue
        seen[owner].add(key)
        work.session.add(
            Presence(
                placement_id=relay,
                node_key=key,
                user_id=owner,
                server_id=server_id,
                address=wanted[relay, key],
                since=work.now,
            )
        )
    anomalies.note(
        work, [(owners[relay], key, wanted[relay, key]) for relay, key in come if relay in owners]
    )
    for user_id in sorted(seen):
        work.session.execute(
            update(Device)
            .where(Device.user_id == user_id, Device.node_key.in_(seen[user_id]))
            .values(last_seen_at=work.now)
            .execution_options(synchronize_session=False)
        )
    if gone or come:
        work.wake(service.LIVE_TOPIC)

    def keep(_session: object) -> None:
        book.keep(server_id, wanted)

    event.listen(work.session, "after_commit", keep, once=True)


def _owners(work: UnitOfWork, server_id: int, relays: set[int]) -> dict[int, int]:
    if not relays:
        return {}
    rows = work.session.execute(
        select(Placement.id, Placement.user_id).where(
            Placement.server_id == server_id, Placement.id.in_(relays)
        )
    )
    return {row.id: row.user_id for row in rows}


def _wanted(written: Connections, snapshot: Mapping[str, Any]) -> Connections:
    """Return what should be written: a relay's part is replaced, a whole snapshot is all."""
    told = {int(relay["id"]) for relay in snapshot["relays"]}
    told |= {int(relay) for relay in snapshot.get("removed") or ()}
    wanted: Connections = {}
    if not snapshot["whole"]:
        wanted = {pair: address for pair, address in written.items() if pair[0] not in told}
    for relay in snapshot["relays"]:
        for present in relay.get("presence") or ():
            wanted[int(relay["id"]), str(present["key"])] = str(present["address"])[:64]
    return wanted


def last_seen(device: Device, now: datetime, connected: bool) -> datetime | None:
    """Return when a device was last connected: now, while it is."""
    return now if connected else device.last_seen_at
