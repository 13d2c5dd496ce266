"""The courier: takes what waits for channels, tells it, and records how that ended."""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog

from derpman.kit.outgoing import AddressRefused, NotAnswered, Outgoing
from derpman.kit.work import Edge
from derpman.notifications import parcels, robots
from derpman.notifications.errors import ChannelAway, MessageRefused
from derpman.notifications.parcels import Parcel

BUDGET_SECONDS = 60
"""How long one call goes on taking messages; the next sweep continues."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Courier:
    """Tells what waits. Several may work at once: a channel is leased to one of them."""

    run: Edge
    outgoing: Outgoing

    def send_due(self) -> int:
        """Tell what is due; return how many messages were taken.

        No transaction is open while a channel is spoken to. A process that dies in between leaves
        a lease that runs out; the messages then go again, under the same keys.
        """
        ends = time.monotonic() + BUDGET_SECONDS
        sent = 0
        while time.monotonic() < ends:
            parcel = self.run(parcels.lease_next)
            if parcel is None:
                break
            sent += self._send(parcel)
        return sent

    def _send(self, parcel: Parcel) -> int:
        try:
            wanted = robots.post(parcel.kind, parcel.url, parcel.secret, parcel.items, parcel.now)
            answer = self.outgoing.request(
                "POST", wanted.url, headers=wanted.headers, body=wanted.body
            )
            robots.judge(parcel.kind, answer)
        except MessageRefused as error:
            self._log(parcel, error)
            self.run(parcels.refuse, parcel=parcel, reason=str(error))
            return 0
        except (ChannelAway, NotAnswered, AddressRefused) as error:
            self._log(parcel, error)
            self.run(
                parcels.fail,
                channel_id=parcel.channel_id,
                attempt=parcel.attempt,
                reason=str(error),
            )
            return 0
        self.run(parcels.accept, parcel=parcel)
        return len(parcel.items)

    @staticmethod
    def _log(parcel: Parcel, error: Exception) -> None:
        log.warning(
            "channel not told",
            channel_id=parcel.channel_id,
            failure=type(error).__name__,
            reason=str(error),
        )
