"""Selects behind the list of alerts."""

from __future__ import annotations

from sqlalchemy import select

from derpman.alerts.models import Severity, SystemAlert
from derpman.kit.paging import page
from derpman.kit.work import UnitOfWork


def alerts(
    work: UnitOfWork,
    *,
    resolved: bool | None,
    severity: Severity | None,
    alert_type: str | None,
    before: int | None,
    limit: int,
) -> tuple[list[SystemAlert], int | None]:
    """Return alerts, the newest first."""
    found = select(SystemAlert)
    if resolved is not None:
        found = found.where(SystemAlert.resolved == resolved)
    if severity is not None:
        found = found.where(SystemAlert.severity == severity)
    if alert_type is not None:
        found = found.where(SystemAlert.alert_type == alert_type)
    return page(work.session, found, SystemAlert.id, before, limit)
