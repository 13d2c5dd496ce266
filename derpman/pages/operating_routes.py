"""HTTP for who operates the system: is a process alive, can it work, what does Prometheus read."""

from __future__ import annotations

import secrets
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from pydantic import BaseModel, Field, SecretStr

from derpman.alerts import outside
from derpman.alerts.models import Severity
from derpman.alerts.outside import Outside
from derpman.kit.errors import Unauthenticated
from derpman.kit.http import EVERYBODY, Rule, RunPublic, gate_of
from derpman.kit.types import Out
from derpman.kit.work import SYSTEM
from derpman.pages.health import Readiness

router = APIRouter(tags=["operating"])


class MetricsTokenWrong(Unauthenticated):
    """The token of the settings is missing, wrong, or not set."""

    code = "system.metrics_token_wrong"
    text = "Send the token of DERPMAN_METRICS_TOKEN as `Authorization: Bearer …`."


def by_metrics_token(request: Request) -> None:
    """Let in who knows the token of the settings; there is nobody's session behind it."""
    token: SecretStr | None = request.app.state.metrics_token
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    if (
        token is None
        or scheme.lower() != "bearer"
        or not secrets.compare_digest(shown.encode(), token.get_secret_value().encode())
    ):
        raise MetricsTokenWrong


by_metrics_token.rule = Rule(frozenset(EVERYBODY))  # type: ignore[attr-defined] # pyright: ignore[reportFunctionMemberAccess]


class AlertIn(BaseModel):
    """One alert, as Alertmanager writes it; what else it writes is not read."""

    status: Literal["firing", "resolved"]
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]
    labels: Annotated[dict[str, str], Field(max_length=64)]
    annotations: Annotated[dict[str, str], Field(max_length=64)] = {}

    def told(self) -> Outside:
        severity = self.labels.get("severity", "")
        summary = self.annotations.get("summary", "")
        return Outside(
            fingerprint=self.fingerprint,
            is_firing=self.status == "firing",
            name=self.labels.get("alertname", "?")[:100],
            severity=Severity(severity) if severity in set(Severity) else Severity.WARNING,
            summary=summary,
            summary_zh=self.annotations.get("summary_zh", summary),
        )


class AlertmanagerIn(BaseModel):
    """A message of Alertmanager's webhook, version 4."""

    version: Literal["4"]
    alerts: Annotated[list[AlertIn], Field(max_length=1000)]


class TakenOut(Out):
    changed: int
    """How many alerts were opened or closed; the others were known."""


ByMetricsToken = Annotated[None, Depends(by_metrics_token)]


@router.get("/healthz")
def is_alive(_run: RunPublic) -> Out:
    """This process answers. Nothing else is looked at: a process is not to be killed for others."""
    return Out()


@router.get("/readyz")
def is_ready(request: Request, _run: RunPublic) -> Out:
    """This process can work: database, migrations and Redis are there."""
    readiness: Readiness = request.app.state.readiness
    readiness.check()
    return Out()


@router.get("/metrics", response_class=PlainTextResponse)
def show_metrics(request: Request, _token: ByMetricsToken) -> Response:
    """Figures of this process and of the whole installation, as Prometheus reads them."""
    registry: CollectorRegistry = request.app.state.registry
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


@router.post("/api/alerts/alertmanager")
def take_alerts(request: Request, body: AlertmanagerIn, _token: ByMetricsToken) -> TakenOut:
    """Take over what Alertmanager tells: its alerts stand among ours, and are mailed as ours."""
    run = gate_of(request).edge(SYSTEM)
    return TakenOut(changed=run(outside.take, [one.told() for one in body.alerts]))
