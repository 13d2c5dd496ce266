"""What follows when a rule finds something odd in what a customer does, and when it is over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import select

from derpman.alerts import rules
from derpman.alerts import service as alerts
from derpman.alerts.models import Reaction, SystemAlert
from derpman.alerts.rules import RULES, Rule
from derpman.containers import restraints
from derpman.kit.errors import NotFound
from derpman.kit.work import Edge, UnitOfWork
from derpman.logs import service as logs
from derpman.users import messages
from derpman.users import service as users

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Finding:
    """Something odd: whose, what tells it from others of its kind, and the facts of its alert."""

    key: str
    user_id: int
    params: Mapping[str, Any]


def follow(run: Edge, kind: str, findings: Iterable[Finding]) -> None:
    """Make the open alerts of a kind what was found now: raise what is new, end what is over.

    One transaction for each that changes; those that go on cost nothing.
    """
    found = {finding.key: finding for finding in findings}
    known = run.read(open_keys, kind=kind)
    for key, finding in found.items():
        try:
            run(react, kind=kind, finding=finding, is_open=key in known)
        except NotFound:
            log.warning("finding about nobody", kind=kind, user_id=finding.user_id)
    for key in sorted(known - found.keys()):
        run(settle, kind=kind, key=key)


def open_keys(work: UnitOfWork, *, kind: str) -> set[str]:
    """Return the keys of what was found and is not over."""
    prefix = f"{kind}:"
    found = select(SystemAlert.open_key).where(
        SystemAlert.open_key.startswith(prefix, autoescape=True)
    )
    return {str(key).removeprefix(prefix) for key in work.session.scalars(found)}


def react(work: UnitOfWork, *, kind: str, finding: Finding, is_open: bool = False) -> None:
    """Raise the alert of a finding and do what its rule says; once for as long as it goes on."""
    rule = rules.rule(work, kind)
    is_restraint = rule.reaction in (Reaction.THROTTLE, Reaction.STOP)
    if is_open and not is_restraint:
        return  # it was told; an alert that goes on need not be written every minute
    user = users.lock(work, finding.user_id)
    open_key = f"{kind}:{finding.key}"
    alert = work.session.scalar(select(SystemAlert).where(SystemAlert.open_key == open_key))
    is_new = alert is None
    if alert is None:
        alert = alerts.raise_alert(
            work,
            alert_type=kind,
            severity=rule.severity,
            object_key=finding.key,
            params={"user_id": user.id, "username": user.username, **finding.params},
        )
    if is_restraint:
        _hold(work, rule, alert.id, user.id)
    if is_new and rule.reaction is not Reaction.ALERT:
        told = RULES[kind].told
        messages.mail(
            work,
            user.id,
            "anomaly_noticed",
            params={
                "what": told.zh if user.locale == "zh-CN" else told.en,
                "reaction": rule.reaction.value,
                "at": work.now,
            },
            once_key=f"anomaly:{alert.id}",
        )


def _hold(work: UnitOfWork, rule: Rule, alert_id: int, user_id: int) -> None:
    """Restrain, or go on doing so: written at most once in half the time it holds."""
    hold = timedelta(minutes=rule.hold_minutes)
    held = restraints.held_until(work, alert_id=alert_id)
    if held is not None and held > work.now + hold / 2:
        return
    restraints.restrain(
        work,
        alert_id=alert_id,
        user_id=user_id,
        reaction=rule.reaction,
        bytes_per_second=rule.throttle_bytes_per_second,
        until=work.now + hold,
    )
    if held is None:
        logs.record_history(
            work,
            user_id=user_id,
            kind=f"relays.{rule.reaction}",
            detail={"alert_id": alert_id, "rule": rule.kind},
        )


def settle(work: UnitOfWork, *, kind: str, key: str) -> None:
    """End an alert whose cause is gone, and what it did, which lasts its time at least."""
    open_key = f"{kind}:{key}"
    alert_id = work.session.scalar(select(SystemAlert.id).where(SystemAlert.open_key == open_key))
    if alert_id is None:
        return
    held = restraints.held_until(work, alert_id=alert_id)
    if held is not None and held > work.now and rules.rule(work, kind).is_enabled:
        return
    restraints.lift(work, alert_id=alert_id)
    alerts.resolve_alert(work, alert_type=kind, object_key=key)


def lift_of_alert(work: UnitOfWork, *, alert_id: int) -> None:
    """End what an alert did once an admin closed it."""
    if alerts.get(work, alert_id).resolved:
        restraints.lift(work, alert_id=alert_id)
