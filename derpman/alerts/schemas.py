"""JSON of alerts: `message` is English, `message_zh` Chinese."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from derpman.alerts.models import Severity, SystemAlert
from derpman.alerts.texts import sentence
from derpman.kit.paging import TimedQuery
from derpman.kit.types import Line, Out, Part


class AlertsQuery(TimedQuery):
    resolved: bool | None = None
    severity: Severity | None = None
    alert_type: Annotated[Line | None, Field(max_length=64)] = None


def _loaded(text: object) -> object:
    return json.loads(text) if isinstance(text, str) else text


class AlertOut(Part):
    id: int
    alert_type: str
    severity: Severity
    message: str
    message_zh: str = ""
    params: Annotated[dict[str, Any], BeforeValidator(_loaded)]
    resolved: bool
    count: int
    created_at: datetime
    last_at: datetime
    resolved_at: datetime | None
    allowed_actions: list[str] = []

    @classmethod
    def of(cls, alert: SystemAlert) -> AlertOut:
        """Return an alert and what may be done with it."""
        out = cls.model_validate(alert)
        return out.model_copy(
            update={
                "message_zh": sentence(alert.alert_type, out.params, "zh-CN"),
                "allowed_actions": [] if alert.resolved else ["resolve"],
            }
        )


CSV_COLUMNS = (
    "id",
    "alert_type",
    "severity",
    "message",
    "resolved",
    "count",
    "created_at",
    "last_at",
    "resolved_at",
)


class AlertsOut(Out):
    alerts: list[AlertOut]
    next_before: int | None


class OneAlertOut(Out):
    alert: AlertOut
