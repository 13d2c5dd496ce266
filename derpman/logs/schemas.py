"""JSON of logs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field

from derpman.kit.paging import TimedQuery
from derpman.kit.types import IdValue, Line, Out, Part

Instant = Annotated[
    AwareDatetime,
    Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC)),
]
Word = Annotated[Line, Field(max_length=64)]


def _loaded(text: object) -> object:
    return json.loads(text) if isinstance(text, str) else text


Detail = Annotated[dict[str, Any] | None, BeforeValidator(_loaded)]


class LogQuery(TimedQuery):
    """`from` counts, `to` does not; an action or kind is how it begins; `search` is any part.

    `format=csv` gives all pages as one file.
    """

    search: Line | None = None
    since: Annotated[Instant | None, Field(alias="from")] = None
    until: Annotated[Instant | None, Field(alias="to")] = None

    def filters(self) -> dict[str, Any]:
        """Return what is asked for, without how it is shown."""
        return self.model_dump(exclude={"before", "limit", "format"})


class SystemLogQuery(LogQuery):
    action: Word | None = None
    actor_id: IdValue | None = None
    object_type: Word | None = None
    object_id: IdValue | None = None
    ip_address: Annotated[Word | None, Field(alias="ip")] = None


class UserLogQuery(LogQuery):
    user_id: IdValue | None = None
    action: Word | None = None
    ip_address: Annotated[Word | None, Field(alias="ip")] = None


class HistoryQuery(LogQuery):
    user_id: IdValue | None = None
    kind: Word | None = None
    rental_id: IdValue | None = None


class ServerLogQuery(LogQuery):
    server_id: IdValue | None = None
    action: Word | None = None
    result: Word | None = None


class SystemLogRow(Part):
    id: int
    created_at: datetime
    actor_id: int | None
    actor_name: str
    actor_role: str
    action: str
    object_type: str
    object_id: int | None
    before: Detail
    after: Detail
    ip_address: str


class UserLogRow(Part):
    id: int
    user_id: int
    created_at: datetime
    action: str
    detail: Detail
    ip_address: str
    location: str
    browser: str


class HistoryRow(Part):
    id: int
    user_id: int
    created_at: datetime
    kind: str
    rental_id: int | None
    detail: Detail


class ServerLogRow(Part):
    id: int
    server_id: int
    created_at: datetime
    actor_name: str
    action: str
    result: str
    detail: Detail


class SystemLogsOut(Out):
    logs: list[SystemLogRow]
    next_before: int | None


class UserLogsOut(Out):
    logs: list[UserLogRow]
    next_before: int | None


class HistoryOut(Out):
    logs: list[HistoryRow]
    next_before: int | None


class ServerLogsOut(Out):
    logs: list[ServerLogRow]
    next_before: int | None
