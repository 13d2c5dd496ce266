"""How Alembic meets our database."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from derpman.kit import outbox, types
from derpman.kit.db import Base
from derpman.migrations import load_models

_TABLES_OF_THE_KIT = outbox.Delivery
load_models()


def render(kind: str, thing: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Write our column types in migrations by their names in `kit.types`."""
    if kind == "type":
        if isinstance(thing, types.UtcDateTime):
            autogen.imports.add("from derpman.kit.types import Id, LongText, UtcDateTime")
            return "UtcDateTime()"
        if thing is types.Id:
            return "Id"
        if thing is types.LongText:
            return "LongText"
        if type(thing).__name__ == "Enum":
            return f"sa.String(length={thing.length})"
    return False


def compare_type(
    _context: Any, _inspected: Any, _column: Any, inspected_type: Any, our_type: Any
) -> bool | None:
    """Compare what databases keep apart; a variant or a decorator is its own business."""
    if (
        isinstance(our_type, types.UtcDateTime)
        or our_type is types.Id
        or our_type is types.LongText
    ):
        return False
    return None


engine = context.config.attributes["engine"]
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=render,
        compare_type=compare_type,
    )
    with context.begin_transaction():
        context.run_migrations()
