"""HTTP of alerts, for admins."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from derpman.alerts import queries, service
from derpman.alerts.models import SystemAlert
from derpman.alerts.schemas import (
    CSV_COLUMNS,
    AlertOut,
    AlertsOut,
    AlertsQuery,
    OneAlertOut,
)
from derpman.kit.csvfile import CSV, csv_file
from derpman.kit.http import RunAdmin
from derpman.kit.types import IdValue

router = APIRouter(prefix="/api/alerts", tags=["alerts"])


@router.get("/list", response_model=AlertsOut, responses=CSV)
def list_alerts(run: RunAdmin, query: Annotated[AlertsQuery, Query()]) -> Any:
    """Alerts, newest first, as JSON or CSV."""
    filters = query.model_dump(exclude={"format", "before", "limit"})
    if query.format == "csv":

        def fetch(before: int | None, limit: int) -> tuple[list[SystemAlert], int | None]:
            return run.read(queries.alerts, before=before, limit=limit, **filters)

        return csv_file("alerts", CSV_COLUMNS, fetch)
    alerts, next_before = run.read(
        queries.alerts, before=query.before, limit=query.limit, **filters
    )
    return AlertsOut(alerts=[AlertOut.of(alert) for alert in alerts], next_before=next_before)


@router.post("/{alert_id}/resolve")
def resolve_alert(run: RunAdmin, alert_id: IdValue) -> OneAlertOut:
    """Close an alert; what goes on is raised again as a new one."""
    return OneAlertOut(alert=AlertOut.of(run(service.resolve, alert_id=alert_id)))
