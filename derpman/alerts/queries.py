"""Selects behind the list of alerts."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import func, select

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
    sort: str | None = None,
) -> tuple[list[SystemAlert], int | None]:
    """Return alerts, the newest first."""
    found = select(SystemAlert)
    if resolved is not None:
        found = found.where(SystemAlert.resolved == resolved)
    if severity is not None:
        found = found.where(SystemAlert.severity == severity)
    if alert_type is not None:
        found = found.where(SystemAlert.alert_type == alert_type)
    return page(work.session, found, SystemAlert.id, before, limit, sort)


def open_of(work: UnitOfWork, *, alert_types: Iterable[str]) -> dict[str, int]:
    """Return how many alerts of these types are open."""
    rows = work.session.execute(
        select(SystemAlert.alert_type, func.count())
        .where(SystemAlert.resolved.is_(False), SystemAlert.alert_type.in_(list(alert_types)))
        .group_by(SystemAlert.alert_type)
    )
    return {row.alert_type: row[1] for row in rows}


def open_counts(work: UnitOfWork) -> dict[str, int]:
    """Return how many alerts are open, by severity."""
    rows = work.session.execute(
        select(SystemAlert.severity, func.count())
        .where(SystemAlert.resolved.is_(False))
        .group_by(SystemAlert.severity)
    )
    return {severity.value: count for severity, count in rows}
