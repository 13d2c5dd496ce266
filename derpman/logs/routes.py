"""HTTP of logs: lists for admins, as JSON or CSV."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from derpman.kit.csvfile import CSV, csv_file
from derpman.kit.http import RunAdmin
from derpman.kit.types import Out
from derpman.kit.work import Edge
from derpman.logs import queries
from derpman.logs.schemas import (
    HistoryOut,
    HistoryQuery,
    HistoryRow,
    LogQuery,
    ServerLogQuery,
    ServerLogRow,
    ServerLogsOut,
    SystemLogQuery,
    SystemLogRow,
    SystemLogsOut,
    UserLogQuery,
    UserLogRow,
    UserLogsOut,
)

router = APIRouter(prefix="/api/logs", tags=["logs"])
Answer = TypeVar("Answer", bound=Out)


@router.get("/system", response_model=SystemLogsOut, responses=CSV)
def system_logs(run: RunAdmin, query: Annotated[SystemLogQuery, Query()]) -> Any:
    """The operation log: who did what, on what, and what it changed."""
    return _answer(run, queries.system_logs, query, "system_logs", SystemLogRow, SystemLogsOut)


@router.get("/user", response_model=UserLogsOut, responses=CSV)
def user_logs(run: RunAdmin, query: Annotated[UserLogQuery, Query()]) -> Any:
    """What users did with their accounts, from where."""
    return _answer(run, queries.user_logs, query, "user_logs", UserLogRow, UserLogsOut)


@router.get("/history", response_model=HistoryOut, responses=CSV)
def history(run: RunAdmin, query: Annotated[HistoryQuery, Query()]) -> Any:
    """The history of use: rentals, serials, ACL versions; also of closed accounts."""
    return _answer(run, queries.history, query, "user_history", HistoryRow, HistoryOut)


@router.get("/server", response_model=ServerLogsOut, responses=CSV)
def server_logs(run: RunAdmin, query: Annotated[ServerLogQuery, Query()]) -> Any:
    """What was done on servers, by whom, with what result."""
    return _answer(run, queries.server_logs, query, "server_logs", ServerLogRow, ServerLogsOut)


def _answer(
    run: Edge,
    find: Callable[..., tuple[list[Any], int | None]],
    query: LogQuery,
    name: str,
    row: type[Any],
    answer: type[Answer],
) -> Answer | StreamingResponse:
    filters = query.filters()
    if query.format == "csv":

        def fetch(before: int | None, limit: int) -> tuple[list[Any], int | None]:
            return run.read(find, before=before, limit=limit, **filters)

        return csv_file(name, list(row.model_fields), fetch)
    rows, next_before = run.read(find, before=query.before, limit=query.limit, **filters)
    return answer.model_validate(
        {"logs": [row.model_validate(one) for one in rows], "next_before": next_before}
    )
