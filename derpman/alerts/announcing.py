"""Alerts on the operators' channels; and an alert about a channel that takes none."""

from __future__ import annotations

import json
from datetime import timedelta

from sqlalchemy import select

from derpman.alerts import service
from derpman.alerts.models import Severity, SystemAlert
from derpman.alerts.texts import sentence
from derpman.kit.work import UnitOfWork
from derpman.notifications import channels, queries
from derpman.notifications.topics import ALERT

PATIENCE = timedelta(minutes=5)
CHANNEL_FAILING = "channel_failing"
WORDS = {
    Severity.INFO: ("Info", "提示"),
    Severity.WARNING: ("Warning", "警告"),
    Severity.CRITICAL: ("Critical", "严重"),
}


def tell_raised(work: UnitOfWork, *, alert_id: int) -> None:
    """Tell the channels that something is wrong; nothing when it is over already."""
    alert = service.get(work, alert_id)
    if not alert.resolved:
        en, zh = WORDS[alert.severity]
        _tell(work, alert, f"[{en}]", f"【{zh}】")


def tell_resolved(work: UnitOfWork, *, alert_id: int) -> None:
    """Tell the channels that an alert is over."""
    _tell(work, service.get(work, alert_id), "[Resolved]", "【已解除】")


def watch_channels(work: UnitOfWork) -> None:
    """Alert while a channel takes nothing; resolved when it does, or is switched off."""
    failing = {str(one.id): one for one in queries.failing_channels(work, longer_than=PATIENCE)}
    for key, channel in failing.items():
        service.raise_alert(
            work,
            alert_type=CHANNEL_FAILING,
            severity=Severity.WARNING,
            object_key=key,
            params={"channel_id": channel.id, "name": channel.name, "error": channel.error},
        )
    prefix = f"{CHANNEL_FAILING}:"
    told = select(SystemAlert.open_key).where(
        SystemAlert.open_key.startswith(prefix, autoescape=True)
    )
    for open_key in work.session.scalars(told).all():
        key = str(open_key).removeprefix(prefix)
        if key not in failing:
            service.resolve_alert(work, alert_type=CHANNEL_FAILING, object_key=key)


def _tell(work: UnitOfWork, alert: SystemAlert, en: str, zh: str) -> None:
    params = json.loads(alert.params)
    channels.announce(
        work,
        topic=ALERT,
        severity=alert.severity.value,
        texts={
            "en": f"{en} {sentence(alert.alert_type, params, 'en')}",
            "zh-CN": f"{zh}{sentence(alert.alert_type, params, 'zh-CN')}",
        },
        facts={
            "alert_id": alert.id,
            "alert_type": alert.alert_type,
            "severity": alert.severity.value,
            "message": alert.message,
            "params": params,
            "count": alert.count,
            "resolved": alert.resolved,
            "created_at": alert.created_at.isoformat(),
            "last_at": alert.last_at.isoformat(),
        },
    )
