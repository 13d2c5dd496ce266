"""What is known of the devices of one linked tailnet, compared with what it lists now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from derpman.devices import queries, service
from derpman.devices.errors import LimitReached, NoRental, NotANodeKey
from derpman.devices.keys import clean_name, node_key
from derpman.devices.models import Device, LinkedDevice, Source
from derpman.devices.states import LINKED_TRANSITIONS, LinkedStatus
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.tailnets.control import Peer

LOOK_AGAIN = timedelta(seconds=15)
"""Least time between two looks at one tailnet, and until a device is believed to be gone."""
MAX_NO_ROOM = 200
"""How many devices without a place are remembered, for the customer to choose from."""
STABLE_ID_LENGTH = 64


@dataclass
class Changes:
    """What a look changed, by names, to be told in one mail."""

    added: list[str] = field(default_factory=list[str])
    renewed: list[str] = field(default_factory=list[str])
    removed: list[str] = field(default_factory=list[str])
    no_room: list[str] = field(default_factory=list[str])

    @property
    def are_worth_a_mail(self) -> bool:
        return bool(self.added or self.removed or self.no_room)


@dataclass(frozen=True)
class Listed:
    """A device as its tailnet lists it, with a node key that is one."""

    stable_id: str
    node_key: str
    name: str
    system: str
    addresses: str
    is_ephemeral: bool
    last_seen: str


def listed_in(peers: Sequence[Peer], realm: str = "") -> list[Listed]:
    """Return the devices that count, those first that should get a place first.

    `realm` tells ids of one control server from those of another, where they are but numbers.

    Not those of other tailnets that are only shared in: they keep to their own relays. Not those
    that wait to be let into the tailnet. Devices that are made for a job come last.
    """
    found: dict[str, Listed] = {}
    for peer in peers:
        if peer.is_external or not peer.is_authorized:
            continue
        stable_id = realm + peer.stable_id
        if not peer.stable_id or len(stable_id) > STABLE_ID_LENGTH or not stable_id.isascii():
            continue
        try:
            key = node_key(peer.node_key)
        except NotANodeKey:
            continue
        one = Listed(
            stable_id=stable_id,
            node_key=key,
            name=clean_name(peer.name) or key[8:20],
            system=clean_name(peer.system),
            addresses=clean_name(" ".join(peer.addresses[:2]))[:255],
            is_ephemeral=peer.is_ephemeral,
            last_seen=peer.last_seen,
        )
        found.setdefault(one.stable_id, one)
    newest_first = sorted(found.values(), key=lambda one: one.last_seen, reverse=True)
    return sorted(newest_first, key=lambda one: one.is_ephemeral)


class Book:
    """The rows of one customer, while they are compared. Who opens it has locked him."""

    def __init__(self, work: UnitOfWork, *, user_id: int, device_limit: int) -> None:
        self.work, self.user_id, self.changes = work, user_id, Changes()
        self.rows = {row.stable_id: row for row in queries.linked_of(work, user_id=user_id)}
        self.devices = {one.id: one for one in queries.devices_of(work, user_id=user_id)}
        self.by_key = {one.node_key: one for one in self.devices.values()}
        self.room = max(0, device_limit - len(self.devices))
        self.listed: set[str] = set()

    def follow(self, listed: Sequence[Listed]) -> None:
        """Take over what is new, as far as there is room, and what changed of the rest."""
        self.listed = {one.stable_id for one in listed}
        known = [one for one in listed if one.stable_id in self.rows]
        for one in known:  # first, so that what changed keeps its place
            self._update(self.rows[one.stable_id], one)
        without_room = sum(1 for row in self.rows.values() if row.status is LinkedStatus.NO_ROOM)
        for one in listed:
            if one.stable_id in self.rows:
                continue
            if one.node_key not in self.by_key and not self.room:
                without_room += 1
                if without_room > MAX_NO_ROOM:
                    continue
            self._add(one)

    def drop_missing(self) -> list[str]:
        """Drop what was not listed; return the names of those that wait for a word.

        Once is not enough: what is missing must still be missing a moment later.
        """
        gone: list[LinkedDevice] = []
        for row in self.rows.values():
            if row.stable_id in self.listed:
                row.missing_since = None
            elif row.missing_since is None:
                row.missing_since = self.work.now
            elif self.work.now - row.missing_since >= LOOK_AGAIN:
                gone.append(row)
        followed = [row for row in self.rows.values() if row.status is LinkedStatus.FOLLOWED]
        lasting = [row for row in followed if not row.is_ephemeral]
        lost = [row for row in gone if row in lasting]
        if not self.listed or 2 * len(lost) > _count_before(lasting, lost):
            held = [row for row in gone if row in followed and (not self.listed or row in lost)]
        else:
            held = []
        for row in gone:
            if row not in held:
                self.drop(row)
                del self.rows[row.stable_id]
        return [row.name for row in held]

    def drop(self, row: LinkedDevice) -> None:
        """Follow a device no more; what was registered because of it is removed."""
        device = self.devices.get(row.device_id or 0)
        if device is not None and row.status is LinkedStatus.FOLLOWED:
            service.remove(self.work, user_id=self.user_id, device_id=device.id)
            self.changes.removed.append(device.name)
        self.work.session.delete(row)

    def _add(self, one: Listed) -> None:
        row = LinkedDevice(
            user_id=self.user_id,
            stable_id=one.stable_id,
            node_key=one.node_key,
            name=one.name,
            system=one.system,
            addresses=one.addresses,
            is_ephemeral=one.is_ephemeral,
            status=LinkedStatus.NO_ROOM,
            created_at=self.work.now,
        )
        self.work.session.add(row)
        self.rows[one.stable_id] = row
        if not self._take(row) and not one.is_ephemeral:
            self.changes.no_room.append(one.name)

    def _update(self, row: LinkedDevice, one: Listed) -> None:
        device = self.devices.get(row.device_id or 0)
        if row.status is LinkedStatus.FOLLOWED and device is None:
            # The customer removed it here: it stays out until he takes it back.
            row.status = next_state(LINKED_TRANSITIONS, row.status, "leave_out")
        if device is not None and device.name == row.name and one.name != row.name:
            device.name = one.name  # he has not given it a name of his own
        if row.node_key != one.node_key:
            if row.status is LinkedStatus.FOLLOWED and device is not None:
                self._rekey(row, device, one.node_key)
            else:
                row.node_key = one.node_key
        row.name, row.system, row.addresses = one.name, one.system, one.addresses
        row.is_ephemeral = one.is_ephemeral
        if row.status is not LinkedStatus.FOLLOWED:
            same = self.by_key.get(row.node_key)
            if same is not None:  # he registered it by hand meanwhile
                self._adopt(row, same)
            elif row.status is LinkedStatus.NO_ROOM:
                self._take(row)

    def _rekey(self, row: LinkedDevice, device: Device, new_key: str) -> None:
        other = self.by_key.get(new_key)
        if other is not None and other is not device and not self._let_go(other, row):
            return  # two devices cannot have one key: the list will say otherwise soon
        row.node_key = new_key
        if other is device:
            return
        if other is None and not queries.is_known(
            self.work, user_id=self.user_id, node_key=new_key
        ):
            del self.by_key[device.node_key]
            service.rekey(self.work, user_id=self.user_id, device=device, node_key=new_key)
            self.by_key[new_key] = device
        else:  # its new key was let in by hand already, or was here once and was removed
            service.remove(self.work, user_id=self.user_id, device_id=device.id)
            self.work.session.flush()
            del self.devices[device.id], self.by_key[device.node_key]
            if other is None:
                other = registered(self.work, row, name=device.name)
                self.devices[other.id] = self.by_key[other.node_key] = other
            else:
                self.room += 1
            row.device_id = other.id
        self.changes.renewed.append(row.name)

    def _let_go(self, device: Device, of: LinkedDevice) -> bool:
        """End that another row follows a device, unless its own is listed still."""
        others = [
            row
            for row in self.rows.values()
            if row is not of and row.device_id == device.id and row.status is LinkedStatus.FOLLOWED
        ]
        if any(row.stable_id in self.listed for row in others):
            return False
        for row in others:  # the same device under another id: its tailnet was set up anew
            self.work.session.delete(row)
            del self.rows[row.stable_id]
        return True

    def _take(self, row: LinkedDevice) -> bool:
        same = self.by_key.get(row.node_key)
        if same is not None:
            return self._adopt(row, same)
        if not self.room:
            return False
        try:
            device = registered(self.work, row)
        except (LimitReached, NoRental):  # seats of other devices lie above a smaller plan's limit
            self.room = 0
            return False
        self.room -= 1
        self.devices[device.id] = self.by_key[device.node_key] = device
        row.status = next_state(LINKED_TRANSITIONS, row.status, "follow")
        row.device_id = device.id
        self.changes.added.append(row.name)
        return True

    def _adopt(self, row: LinkedDevice, device: Device) -> bool:
        if not self._let_go(device, row):
            return False
        if row.status is not LinkedStatus.FOLLOWED:
            action = "include" if row.status is LinkedStatus.LEFT_OUT else "follow"
            row.status = next_state(LINKED_TRANSITIONS, row.status, action)
        row.device_id = device.id
        return True


def _count_before(lasting: Sequence[LinkedDevice], lost: Sequence[LinkedDevice]) -> int:
    """Count the devices there were before the first of these was missed: newer ones make no half.

    Another tailnet would bring as many of its own.
    """
    first = min((row.missing_since for row in lost if row.missing_since), default=None)
    return sum(1 for row in lasting if first is None or row.created_at < first)


def registered(work: UnitOfWork, row: LinkedDevice, name: str | None = None) -> Device:
    """Register a device of a tailnet; raises what `service.register` does."""
    return service.register(
        work,
        user_id=row.user_id,
        node_key=row.node_key,
        name=name or row.name,
        system=row.system,
        source=Source.LINK,
    )
