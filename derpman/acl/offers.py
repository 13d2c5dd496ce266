"""What secret addresses give out, remembered for a moment: a poll that finds nothing new is free.

A new version, a revoked address and an ended rental are honoured within one second.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import TypeVar

from derpman.acl import addresses
from derpman.acl.addresses import Offer
from derpman.acl.service import NO_GRACE
from derpman.kit.secrets import token_hash
from derpman.kit.work import Edge

T = TypeVar("T")
CACHE_SECONDS = 0.9
"""This and the time of one request make the second in which a change is honoured."""
CACHE_SIZE = 4096
NOTED_SIZE = 20_000


class Offers:
    """Finds what an address gives out, and logs who asks: once an hour for each address and IP."""

    def __init__(
        self,
        run: Edge,
        *,
        grace: timedelta = NO_GRACE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.monotonic = monotonic
        self._run = run
        self._grace = grace
        self._turn = threading.Condition()
        self._known: OrderedDict[str, tuple[float, Offer]] = OrderedDict()
        self._waiting: dict[str, Future[Offer | None]] = {}
        self._asked: dict[str, Future[Offer | None]] = {}
        self._noted: OrderedDict[str, None] = OrderedDict()

    def ask(self, run: Edge, token: str) -> Offer | None:
        """Return what an address gives its caller now, logged as his; None when there is none."""
        offer = self.find(token)
        if offer is not None:
            self._note(run, offer)
        return offer

    def find(self, token: str) -> Offer | None:
        """Return what an address gives out now.

        One caller at a time asks the database, for all who wait meanwhile: the more addresses are
        polled at once, the fewer statements each of them costs.
        """
        hashed = token_hash(token)
        now = self.monotonic()
        with self._turn:
            known = self._known.get(hashed)
            if known is not None and now - known[0] < CACHE_SECONDS:
                return known[1]
            answer = self._asked.get(hashed) or self._waiting.setdefault(hashed, Future())
            while self._asked and not answer.done():
                self._turn.wait()
            if answer.done():
                return answer.result()
            self._asked, self._waiting = self._waiting, {}
        self._ask_database()
        return answer.result()

    def _ask_database(self) -> None:
        asked, asked_at = self._asked, self.monotonic()
        offers: dict[str, Offer] = {}
        fault: Exception | None = None
        try:
            offers = self._run.read(addresses.find, hashed_tokens=list(asked), grace=self._grace)
        except Exception as error:  # noqa: BLE001 # whoever waits must hear of it
            fault = error
        with self._turn:
            self._asked = {}
            for hashed, answer in asked.items():
                self._known.pop(hashed, None)
                offer = offers.get(hashed)
                if offer is not None:  # what is unknown is not kept: it could be any amount
                    _keep(self._known, hashed, (asked_at, offer), CACHE_SIZE)
                if fault is None:
                    answer.set_result(offer)
                else:
                    answer.set_exception(fault)
            self._turn.notify_all()

    def _note(self, run: Edge, offer: Offer) -> None:
        hour = f"{run.clock():%Y%m%d%H}"
        key = f"{offer.address_id} {run.actor.ip} {offer.number} {hour}"
        with self._turn:
            if key in self._noted:
                return
        run(addresses.record_fetch, offer=offer, once_key=key)
        with self._turn:
            _keep(self._noted, key, None, NOTED_SIZE)


def _keep(cache: OrderedDict[str, T], key: str, value: T, size: int) -> None:
    cache[key] = value
    while len(cache) > size:
        cache.popitem(last=False)
