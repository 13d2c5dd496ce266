"""HTTP of metrics."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from derpman.kit.http import RunAdmin
from derpman.kit.work import UnitOfWork
from derpman.monitoring import measuring, queries
from derpman.monitoring.queries import Point
from derpman.monitoring.schemas import (
    MetricPart,
    MetricsOut,
    Trend,
    TrendPoint,
    TrendQuery,
    TrendsOut,
)

router = APIRouter(prefix="/api/monitoring", tags=["monitoring"])


@router.get("/metrics")
def list_metrics(run: RunAdmin) -> MetricsOut:
    """What is measured of every server and of the system itself."""
    return MetricsOut(
        of_servers=[MetricPart(name=k, what=v) for k, v in measuring.METRICS.items()],
        of_system=[MetricPart(name=k, what=v) for k, v in measuring.SYSTEM_METRICS.items()],
    )


@router.get("/trend")
def show_trend(run: RunAdmin, query: Annotated[TrendQuery, Query()]) -> TrendsOut:
    """Metrics of a server, or of the system itself, by five minutes, hours, days or months."""
    return run.read(_trends, query)


def _trends(work: UnitOfWork, query: TrendQuery) -> TrendsOut:
    points = queries.trends(
        work,
        server_id=query.server_id,
        metrics=query.metric,
        since=work.now - timedelta(hours=query.hours),
        step=query.step,
    )
    by_metric: dict[str, list[Point]] = {name: [] for name in query.metric}
    for point in points:
        by_metric[point.metric].append(point)
    return TrendsOut(
        server_id=query.server_id,
        step=query.step,
        trends=[
            Trend(metric=name, points=[TrendPoint.model_validate(one) for one in some])
            for name, some in by_metric.items()
        ],
    )
