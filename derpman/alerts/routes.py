"""HTTP of alerts, for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from derpman.alerts import queries, service
from derpman.alerts.schemas import AlertOut, AlertsOut, AlertsQuery, OneAlertOut
from derpman.kit.http import RunAdmin
from derpman.kit.types import IdValue

router = APIRouter(prefix="/api/alerts", tags=["alerts"])


@router.get("/list")
def list_alerts(run: RunAdmin, query: Annotated[AlertsQuery, Query()]) -> AlertsOut:
    """Alerts, newest first."""
    alerts, next_before = run.read(queries.alerts, **query.model_dump())
    return AlertsOut(alerts=[AlertOut.of(alert) for alert in alerts], next_before=next_before)


@router.post("/{alert_id}/resolve")
def resolve_alert(run: RunAdmin, alert_id: IdValue) -> OneAlertOut:
    """Close an alert; what goes on is raised again as a new one."""
    return OneAlertOut(alert=AlertOut.of(run(service.resolve, alert_id=alert_id)))
