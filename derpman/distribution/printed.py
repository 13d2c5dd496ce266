"""A statement as a page that can be printed, in the reader's language."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from derpman.distribution import pages, queries, settlement
from derpman.kit.money import yuan_text
from derpman.kit.work import Edge, UnitOfWork
from derpman.users import service as users

HTML: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": {}}}}
INERT = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "Cache-Control": "private, no-store",
}
MOST_LINES = 5000
"""On paper; the CSV file has all."""


def page_of(run: Edge, statement_id: int) -> Response:
    """Answer with a statement to print."""
    text = run.read(_rendered, statement_id)
    return Response(text, media_type="text/html; charset=utf-8", headers=INERT)


def _rendered(work: UnitOfWork, statement_id: int) -> str:
    statement = settlement.get(work, statement_id)
    reader = users.get(work, work.actor.user_id or statement.user_id)
    lines, more = pages.lines_of_statement(work, statement_id, None, MOST_LINES)
    return (
        _templates()
        .get_template("statement.html.j2")
        .render(
            zh=reader.locale == "zh-CN",
            name=users.get(work, statement.user_id).username,
            statement=statement,
            purchases=queries.purchases_of(work, user_id=statement.user_id, month=statement.month),
            lines=lines,
            has_more=more is not None,
        )
    )


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("derpman.distribution"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["yuan"] = yuan_text
    return templates
