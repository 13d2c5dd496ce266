"""Verbs that append to the logs, in the transaction of what they tell about."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import delete, insert, select

from derpman.kit import browsers, places
from derpman.kit.db import changed
from derpman.kit.work import UnitOfWork
from derpman.logs.models import ServerLog, SystemLog, UserHistory, UserLog

MASK = "••••"
SECRET_WORDS = frozenset(
    {"password", "passwd", "passphrase", "secret", "secrets", "token", "key", "code", "credential"}
)
PUBLIC_NAMES = frozenset({"node_key", "host_key", "public_key", "object_key", "error_code"})
"""Names with such a word that keep nothing secret."""


def record(
    work: UnitOfWork,
    *,
    action: str,
    object_type: str,
    object_id: int | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Append to the operation log who did what, on what, and what it changed."""
    work.session.add(
        SystemLog(
            created_at=work.now,
            actor_id=work.actor.user_id,
            actor_name=work.actor.name,
            actor_role=work.actor.role.value,
            action=action,
            object_type=object_type,
            object_id=object_id,
            before=_json(before),
            after=_json(after),
            ip_address=work.actor.ip,
        )
    )


def record_user(
    work: UnitOfWork, *, user_id: int, action: str, detail: Mapping[str, Any] | None = None
) -> None:
    """Append what a user did with his account, from where and with which browser."""
    work.session.add(
        UserLog(
            user_id=user_id,
            created_at=work.now,
            action=action,
            detail=_json(detail),
            ip_address=work.actor.ip,
            location=places.place_of(work.actor.ip).label_zh[:128],
            browser=str(browsers.browser_of(work.actor.user_agent))[:128],
        )
    )


def record_history(
    work: UnitOfWork,
    *,
    user_id: int,
    kind: str,
    rental_id: int | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Append to the history of use, which outlives the account."""
    work.session.add(
        UserHistory(
            user_id=user_id,
            created_at=work.now,
            kind=kind,
            rental_id=rental_id,
            detail=_json(detail),
        )
    )


def record_many(
    work: UnitOfWork,
    *,
    action: str,
    object_type: str,
    rows: Sequence[tuple[int, Mapping[str, Any] | None, Mapping[str, Any] | None]],
) -> None:
    """Append one action on many objects, each with what it changed, in one statement."""
    common: dict[str, Any] = {
        "created_at": work.now,
        "actor_id": work.actor.user_id,
        "actor_name": work.actor.name,
        "actor_role": work.actor.role.value,
        "action": action,
        "object_type": object_type,
        "ip_address": work.actor.ip,
    }
    if rows:
        work.session.execute(
            insert(SystemLog),
            [
                {**common, "object_id": id_, "before": _json(before), "after": _json(after)}
                for id_, before, after in rows
            ],
        )


def record_histories(
    work: UnitOfWork,
    *,
    kind: str,
    rows: Sequence[tuple[int, int, Mapping[str, Any] | None]],
) -> None:
    """Append what happened to many users alike: (user, rental, detail), in one statement."""
    if rows:
        work.session.execute(
            insert(UserHistory),
            [
                {
                    "user_id": user_id,
                    "created_at": work.now,
                    "kind": kind,
                    "rental_id": rental_id,
                    "detail": _json(detail),
                }
                for user_id, rental_id, detail in rows
            ],
        )


def record_server(
    work: UnitOfWork,
    *,
    server_id: int,
    action: str,
    result: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Append what was done on a server and how it ended (`ok`, `failed`, …: a word of 16)."""
    work.session.add(
        ServerLog(
            server_id=server_id,
            created_at=work.now,
            actor_name=work.actor.name,
            action=action,
            result=result,
            detail=_json(detail),
        )
    )


def forget_user_logs(work: UnitOfWork, *, older_than: datetime, limit: int = 1000) -> int:
    """Remove up to `limit` rows of the user log, which names places and browsers."""
    return _forget(work, UserLog, older_than, limit)


def forget_server_logs(work: UnitOfWork, *, older_than: datetime, limit: int = 1000) -> int:
    """Remove up to `limit` rows of the server log."""
    return _forget(work, ServerLog, older_than, limit)


def _forget(
    work: UnitOfWork, model: type[UserLog | ServerLog], older_than: datetime, limit: int
) -> int:
    oldest = select(model.id, model.created_at).order_by(model.id).limit(limit)
    ids = [row.id for row in work.session.execute(oldest) if row.created_at < older_than]
    if not ids:
        return 0
    table = model.__table__  # by the table: rows as objects refuse to be removed
    return changed(work.session, delete(table).where(table.c.id.in_(ids)))  # pyright: ignore[reportArgumentType] # a Table


def _json(value: Mapping[str, Any] | None) -> str | None:
    """Write a mapping in one fixed form, so that equal facts give equal text."""
    if value is None:
        return None
    return json.dumps(
        _masked(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_plain
    )


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _masked(value: object) -> object:
    """Cover what is named like a secret: callers pass none, and a slip must not stay for good."""
    if isinstance(value, Mapping):
        named = cast("Mapping[object, object]", value)
        return {
            str(name): MASK if _is_secret(str(name)) and inner is not None else _masked(inner)
            for name, inner in named.items()
        }
    if isinstance(value, list | tuple):
        return [_masked(inner) for inner in cast("Sequence[object]", value)]
    return value


def _is_secret(name: str) -> bool:
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return name not in PUBLIC_NAMES and not SECRET_WORDS.isdisjoint(re.split(r"[^a-z0-9]+", name))
