"""Whether a process lives, and whether it can do its work: for load balancers and for operators."""

from __future__ import annotations

import redis
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from derpman.kit.errors import Unavailable
from derpman.migrations import config_for

REDIS_SECONDS = 2


class NotReady(Unavailable):
    """A part that answers need is away or not up to date."""

    code = "system.not_ready"
    text = "Not ready: {missing}."


class Readiness:
    """Looks at the database, its form, and Redis.

    A database of a newer form than the program's own is right: an upgrade is under way.
    """

    def __init__(self, engine: Engine, redis_url: str | None) -> None:
        self._engine = engine
        self._redis = (
            None
            if redis_url is None
            else redis.Redis.from_url(
                redis_url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
            )
        )
        self._older: frozenset[str] | None = None

    def check(self) -> None:
        """Raise NotReady, naming what is missing."""
        missing = [*self._database(), *self._broker()]
        if missing:
            raise NotReady(missing=", ".join(missing))

    def _database(self) -> list[str]:
        try:
            with self._engine.execution_options(reading=True).connect() as connection:
                at = MigrationContext.configure(connection).get_current_revision()
        except (SQLAlchemyError, OSError):
            return ["database"]
        return ["migrations"] if at is None or at in self._behind() else []

    def _behind(self) -> frozenset[str]:
        if self._older is None:
            script = ScriptDirectory.from_config(config_for(self._engine))
            head = script.get_current_head()
            every = {one.revision for one in script.walk_revisions()}
            self._older = frozenset(every - {head})
        return self._older

    def _broker(self) -> list[str]:
        if self._redis is None:
            return []
        try:
            self._redis.ping()
        except redis.RedisError:
            return ["redis"]
        return []
