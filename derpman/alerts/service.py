"""Verbs on alerts: one cause has one open alert, however often it is reported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from derpman.alerts.errors import AlertNotFound, AlertResolved
from derpman.alerts.events import AlertOver, AlertRaised
from derpman.alerts.models import Severity, SystemAlert
from derpman.alerts.texts import sentence
from derpman.kit.db import changed
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs

RANK = tuple(Severity)


def raise_alert(
    work: UnitOfWork,
    *,
    alert_type: str,
    severity: Severity,
    object_key: str = "",
    params: Mapping[str, Any],
) -> SystemAlert:
    """Open the alert of a type and object, or count up the open one; `texts` has its sentence.

    Admins are mailed when it is new and when its severity rises. `params` reach admins and their
    mails: no secrets.
    """
    key = _open_key(alert_type, object_key)
    message = sentence(alert_type, params)
    text = json.dumps(params, sort_keys=True, ensure_ascii=False, default=str)
    alert = work.session.scalar(select(SystemAlert).where(SystemAlert.open_key == key))
    if alert is not None and _count_up(work, alert, severity, message, text):
        return alert
    alert = SystemAlert(
        alert_type=alert_type,
        severity=severity,
        message=message,
        resolved=False,
        params=text,
        open_key=key,
        count=1,
        created_at=work.now,
        last_at=work.now,
    )
    work.session.add(alert)
    work.session.flush()
    work.emit(AlertRaised(alert_id=alert.id))
    work.wake("live")
    return alert


def _count_up(
    work: UnitOfWork, alert: SystemAlert, severity: Severity, message: str, params: str
) -> bool:
    """Keep the newest facts of an open alert; False when it was resolved at this moment."""
    is_worse = RANK.index(severity) > RANK.index(alert.severity)
    counted = changed(
        work.session,
        update(SystemAlert)
        .where(SystemAlert.id == alert.id, SystemAlert.open_key == alert.open_key)
        .values(
            count=SystemAlert.count + 1,
            severity=severity,
            message=message,
            params=params,
            last_at=work.now,
        ),
    )
    if counted == 0:
        return False
    if is_worse:
        work.emit(AlertRaised(alert_id=alert.id))
    work.session.refresh(alert)
    return True


def resolve_alert(work: UnitOfWork, *, alert_type: str, object_key: str = "") -> bool:
    """Close the open alert of a type and object because it is over; False when there is none."""
    return _close(work, SystemAlert.open_key == _open_key(alert_type, object_key))


def open_of_type(work: UnitOfWork, *, alert_type: str, last_before: datetime) -> list[str]:
    """Return the objects of open alerts of a type that were reported last before an instant."""
    keys = work.session.scalars(
        select(SystemAlert.open_key)
        .where(
            SystemAlert.open_key.is_not(None),
            SystemAlert.alert_type == alert_type,
            SystemAlert.last_at < last_before,
        )
        .order_by(SystemAlert.id)
    )
    return [key.partition(":")[2] for key in keys if key is not None]


def resolve(work: UnitOfWork, *, alert_id: int) -> SystemAlert:
    """Close an alert because an admin says so; what goes on is raised as a new one."""
    alert = get(work, alert_id)
    if alert.resolved or not _close(work, SystemAlert.id == alert_id, ~SystemAlert.resolved):
        raise AlertResolved(alert_id=alert_id)
    logs.record(
        work,
        action="alert.resolve",
        object_type="alert",
        object_id=alert_id,
        before={"alert_type": alert.alert_type, "message": alert.message},
    )
    work.session.refresh(alert)
    return alert


def get(work: UnitOfWork, alert_id: int) -> SystemAlert:
    """Return an alert by its id."""
    alert = work.session.get(SystemAlert, alert_id)
    if alert is None:
        raise AlertNotFound(alert_id=alert_id)
    return alert


def _close(work: UnitOfWork, *which: Any) -> bool:
    alert_id = work.session.scalar(select(SystemAlert.id).where(*which))
    if alert_id is None:
        return False  # as nearly always when a sweep finds nothing wrong
    closed = changed(
        work.session,
        update(SystemAlert)
        .where(SystemAlert.id == alert_id, ~SystemAlert.resolved)
        .values(resolved=True, open_key=None, resolved_at=work.now)
        .execution_options(synchronize_session=False),
    )
    if closed:
        work.emit(AlertOver(alert_id=alert_id))
        work.wake("live")
    return closed == 1


def _open_key(alert_type: str, object_key: str) -> str:
    return f"{alert_type}:{object_key}"
