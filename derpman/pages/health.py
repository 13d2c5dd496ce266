"""Whether a process lives, and whether it can do its work: for load balancers and for operators."""

from __future__ import annotations

import redis
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from derpman.kit import revisions
from derpman.kit.errors import Unavailable

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

    def check(self) -> None:
        """Raise NotReady, naming what is missing."""
        missing = [*self._database(), *self._broker()]
        if missing:
            raise NotReady(missing=", ".join(missing))

    def _database(self) -> list[str]:
        try:
            with self._engine.execution_options(reading=True).connect() as connection:
                connection.execute(text("SELECT 1"))
                at = _revision(connection)
        except (SQLAlchemyError, OSError):
            return ["database"]
        return ["migrations"] if at is None or at in revisions.known()[:-1] else []

    def _broker(self) -> list[str]:
        if self._redis is None:
            return []
        try:
            self._redis.ping()
        except redis.RedisError:
            return ["redis"]
        return []


def _revision(connection: Connection) -> str | None:
    """Return the form of a database that answers; None when it is empty."""
    try:
        return connection.scalar(text("SELECT version_num FROM alembic_version"))
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        return None
