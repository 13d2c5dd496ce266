"""Alerts that Prometheus finds and Alertmanager brings, among ours: a page and a mail for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from derpman.alerts import service
from derpman.alerts.models import Severity
from derpman.kit.work import UnitOfWork

ALERT = "monitored"
LONGEST_TEXT = 500


@dataclass(frozen=True)
class Outside:
    """One alert of Alertmanager's message."""

    fingerprint: str
    """The same for the same labels, however often it is told."""
    is_firing: bool
    name: str
    severity: Severity
    summary: str
    summary_zh: str


def take(work: UnitOfWork, alerts: Sequence[Outside]) -> int:
    """Open and close our alerts as theirs are; return how many changed.

    A message may come twice.
    """
    changed = 0
    for one in alerts:
        if one.is_firing:
            before = service.raise_alert(
                work,
                alert_type=ALERT,
                severity=one.severity,
                object_key=one.fingerprint,
                params={
                    "name": one.name,
                    "summary": one.summary[:LONGEST_TEXT],
                    "summary_zh": (one.summary_zh or one.summary)[:LONGEST_TEXT],
                },
            )
            changed += before.count == 1
        else:
            changed += service.resolve_alert(work, alert_type=ALERT, object_key=one.fingerprint)
    return changed
