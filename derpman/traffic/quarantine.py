"""Counts that no line could have carried: kept out of every total until an admin decides."""

from __future__ import annotations

from datetime import datetime

from derpman.alerts import service as alerts
from derpman.alerts.models import Severity
from derpman.kit.work import UnitOfWork
from derpman.traffic.models import Quarantine, RelayMeter
from derpman.traffic.states import Verdict

SLACK_SECONDS = 10.0
"""Clocks and queues: a count is doubted only beyond this."""


def can_be(sent_bytes: int, since: datetime, until: datetime, line_bytes_per_second: int) -> bool:
    """Tell whether a line could have carried so much in that time."""
    seconds = max(0.0, (until - since).total_seconds()) + SLACK_SECONDS
    return sent_bytes <= line_bytes_per_second * seconds


def hold(
    work: UnitOfWork, meter: RelayMeter, sent_bytes: int, since: datetime, until: datetime
) -> None:
    """Keep a count out of the total; the mark has moved past it, so what follows is billed."""
    meter.before_bytes -= sent_bytes
    seconds = max(0.0, (until - since).total_seconds())
    work.session.add(
        Quarantine(
            placement_id=meter.placement_id,
            server_id=meter.server_id,
            user_id=meter.user_id,
            sent_bytes=sent_bytes,
            seconds=seconds,
            created_at=work.now,
            verdict=Verdict.OPEN,
        )
    )
    alerts.raise_alert(
        work,
        alert_type="traffic_impossible",
        severity=Severity.CRITICAL,
        object_key=str(meter.placement_id),
        params={
            "relay_id": meter.placement_id,
            "server_id": meter.server_id,
            "bytes": sent_bytes,
            "seconds": round(seconds),
        },
    )
