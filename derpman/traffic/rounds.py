"""A worker's metering rounds: what its nodes report is kept in memory and written in bulk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from derpman.kit.work import Edge, UnitOfWork
from derpman.traffic import cards, metering, service
from derpman.traffic.cards import CardReading
from derpman.traffic.metering import Known, Reading

BATCH = 10_000
"""Relays of one transaction."""
OVERLAP = timedelta(seconds=60)
"""Shares made so long before a round are looked at again: a transaction may commit late."""
PRESSING_SECONDS = 0.5
"""Between writes of what cannot wait."""

log = structlog.get_logger(__name__)


@dataclass
class _Heard:
    """What was heard since the last round."""

    readings: dict[int, Reading] = field(default_factory=dict[int, Reading])
    cards: dict[int, CardReading] = field(default_factory=dict[int, CardReading])
    pressing: set[int] = field(default_factory=set[int])
    """Rentals whose relays are near the end of their shares: they do not wait."""
    strange: dict[int, bool] = field(default_factory=dict[int, bool])
    """Relays of which we know nothing yet, and whether they are at their limit."""


class Rounds:
    """Collects readings of the servers a worker holds and writes them every so often.

    Nothing is lost with the process: nodes tell sums, and the next worker hears them again. What
    ended for good (a start of a relay) is written at once, in the transaction that hears of it.
    """

    def __init__(self, edge: Edge, *, every_seconds: float, line_bytes_per_second: int) -> None:
        self._edge = edge
        self._every = every_seconds
        self._line = line_bytes_per_second
        self._lock = threading.Lock()
        self._heard = _Heard()
        self._book: dict[int, Known] = {}
        self._limited: set[int] = set()
        self._looked_at = edge.clock()
        self._awake = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def observe(self, work: UnitOfWork, *, server_id: int, snapshot: Mapping[str, Any]) -> None:
        """Hear one snapshot of a server, inside the transaction that records it."""
        starts: Sequence[Mapping[str, Any]] = snapshot.get("starts") or ()
        if starts:
            ended = metering.finish(
                work, server_id=server_id, starts=starts, line_bytes_per_second=self._line
            )
            # A relay that its node stopped is counted here, so here is where it gets more.
            stopped = any(_is_limited(relay) for relay in snapshot["relays"])
            service.count(work, rental_ids=ended, share_for=ended if stopped else ())
            with self._lock:  # what we believed of these relays is void, committed or not
                for start in starts:
                    self._book.pop(int(start["relay"]), None)
        self.collect(server_id, snapshot)

    def collect(self, server_id: int, snapshot: Mapping[str, Any]) -> None:
        """Keep what a snapshot says until the next round; wake it where a quota is near."""
        at = datetime.fromisoformat(snapshot["at"])
        with self._lock:
            for relay in snapshot["relays"]:
                self._collect_relay(server_id, relay, at)
            host: Mapping[str, Any] = snapshot.get("host") or {}
            sent: int = host.get("net_sent_bytes", 0)
            if sent and snapshot["whole"]:
                self._heard.cards[server_id] = CardReading(sent, at)
            for relay_id in snapshot.get("removed") or ():
                self._book.pop(relay_id, None)
                self._limited.discard(relay_id)
            if self._heard.pressing or self._heard.strange:
                self._awake.set()

    def _collect_relay(self, server_id: int, relay: Mapping[str, Any], at: datetime) -> None:
        relay_id: int = relay["id"]
        known = self._book.get(relay_id)
        start_id = relay.get("start_id")
        sent = max(0, relay.get("sent_bytes", 0) - relay.get("probe_bytes", 0))
        total = relay.get("total_sent_bytes", 0)
        if start_id and (known is None or known.start_id != start_id or known.sent_bytes < sent):
            self._heard.readings[relay_id] = Reading(
                relay_id, server_id, start_id, sent, max(0, total - sent), at
            )
        is_limited = _is_limited(relay)
        was_limited = relay_id in self._limited
        (self._limited.add if is_limited else self._limited.discard)(relay_id)
        is_news = is_limited and not was_limited
        if known is None:
            self._heard.strange[relay_id] = is_limited
            return
        near = known.alarm_bytes is not None and total >= known.alarm_bytes
        if known.server_id == server_id and (near or is_news):
            self._heard.pressing.add(known.rental_id)

    def write(self) -> int:
        """Write what was heard; return how many relays moved."""
        since = self._edge.clock() - OVERLAP
        shared = self._edge.read(metering.known_shared_since, self._looked_at)
        self._looked_at = since
        with self._lock:
            self._book.update({id_: one for id_, one in shared.items() if id_ in self._book})
            # Whoever stands still is looked at again: what we wrote may have been overtaken.
            still = {self._book[id_].rental_id for id_ in self._limited if id_ in self._book}
            self._heard.pressing |= still
        return self._write(self._take(None))

    def write_pressing(self) -> int:
        """Write what concerns relays that are new to us and rentals that cannot wait."""
        with self._lock:
            strange, self._heard.strange = self._heard.strange, {}
        found = self._edge.read(metering.known, strange) if strange else {}
        with self._lock:
            self._book.update(found)
            pressing = self._heard.pressing | {
                one.rental_id for id_, one in found.items() if strange[id_]
            }
            new: dict[int, Reading] = {}
            for id_ in strange.keys() - found.keys():
                if id_ in self._heard.readings:
                    new[id_] = self._heard.readings.pop(id_)
                elif strange[id_]:
                    self._heard.strange[id_] = True  # what we need of it is being written
        heard = self._take(pressing)
        heard.readings |= new
        return self._write(heard)

    def _take(self, rentals: Collection[int] | None) -> _Heard:
        """Take what was heard out of the waiting: of these rentals, or all of it."""
        with self._lock:
            heard = self._heard
            if rentals is None:
                self._heard = _Heard()
                return heard
            mine = [
                relay_id
                for relay_id in heard.readings
                if (known := self._book.get(relay_id)) and known.rental_id in rentals
            ]
            heard.pressing -= set(rentals)
            taken = {relay_id: heard.readings.pop(relay_id) for relay_id in mine}
            return _Heard(taken, {}, set(rentals))

    def _write(self, heard: _Heard) -> int:
        readings = list(heard.readings.values())
        written = 0
        try:
            if heard.cards:
                self._edge(cards.record_cards, cards=heard.cards)
                heard.cards = {}
            for start in range(0, len(readings), BATCH):
                part = readings[start : start + BATCH]
                with self._lock:
                    ids = [one.placement_id for one in part]
                    book = {id_: self._book[id_] for id_ in ids if id_ in self._book}
                moved = self._edge(
                    record, readings=part, book=book, line_bytes_per_second=self._line
                )
                written += len(moved)
                with self._lock:
                    self._book.update(moved)
                for id_ in ids:
                    heard.readings.pop(id_, None)
            if heard.pressing:
                alarms = self._edge(press, rental_ids=heard.pressing)
                with self._lock:
                    self._book.update(alarms)
                heard.pressing = set()
        finally:
            self._put_back(heard)
        return written

    def _put_back(self, heard: _Heard) -> None:
        """What could not be written waits for the next round, unless something newer does."""
        with self._lock:
            self._heard.readings = {**heard.readings, **self._heard.readings}
            self._heard.cards = {**heard.cards, **self._heard.cards}
            self._heard.pressing |= heard.pressing

    def start(self) -> None:
        """Begin to write, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="metering", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is left and end."""
        self._ended.set()
        self._awake.set()
        if self._thread is not None:
            self._thread.join(15)

    def _run(self) -> None:
        while not self._ended.is_set():
            self._wait()
            self._attempt(self.write)
        self._attempt(self.write)

    def _wait(self) -> None:
        """Wait for the next round; meanwhile write what cannot wait."""
        due = time.monotonic() + self._every
        while (left := due - time.monotonic()) > 0 and not self._ended.is_set():
            if self._awake.wait(left) and not self._ended.is_set():
                self._awake.clear()
                self._attempt(self.write_pressing)
                self._ended.wait(PRESSING_SECONDS)

    def _attempt(self, write: Callable[[], object]) -> None:
        try:
            write()
        except Exception:  # the database is away: nodes tell the sums again
            log.warning("metering round not written", exc_info=True)


def _is_limited(relay: Mapping[str, Any]) -> bool:
    """Tell whether a relay's node keeps it from sending as it would."""
    return relay.get("reason") == "quota" or bool(relay.get("throttled"))


def record(
    work: UnitOfWork,
    *,
    readings: Sequence[Reading],
    book: Mapping[int, Known],
    line_bytes_per_second: int,
) -> dict[int, Known]:
    """Take readings up and see what their rentals used; return what is written of the relays."""
    moved = metering.record(
        work, readings=readings, book=book, line_bytes_per_second=line_bytes_per_second
    )
    rentals = {one.rental_id for one in moved.values()}
    new = {one.rental_id for one in moved.values() if not one.is_shared}
    service.count(work, rental_ids=rentals, share_for=new)
    if new:
        moved |= metering.known(work, [id_ for id_, one in moved.items() if not one.is_shared])
    return moved


def press(work: UnitOfWork, *, rental_ids: Collection[int]) -> dict[int, Known]:
    """Share out anew for rentals that are near the end of a share; return their relays' alarms."""
    shared = service.count(work, rental_ids=rental_ids, share_for=rental_ids)
    return metering.known_of_rentals(work, shared)
