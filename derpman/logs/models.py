"""Tables of the logs. They point at nothing by foreign key: what they speak of may go."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, Text, event
from sqlalchemy.orm import Mapped, ORMExecuteState, Session, mapped_column

from derpman.kit.db import Base
from derpman.kit.types import SEALED, Id, UtcDateTime
from derpman.logs.errors import AppendOnly


class SystemLog(Base):
    """The operation log: one important action of an admin, distributor, user or ourselves."""

    __tablename__ = "system_logs"
    __table_args__ = (
        Index("ix_system_logs_actor_id_id", "actor_id", "id"),
        Index("ix_system_logs_object_type_object_id_id", "object_type", "object_id", "id"),
        Index("ix_system_logs_action_id", "action", "id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    actor_id: Mapped[int | None] = mapped_column(Id)
    actor_name: Mapped[str] = mapped_column(String(64))
    actor_role: Mapped[str] = mapped_column(String(32))
    action: Mapped[str] = mapped_column(String(64))
    object_type: Mapped[str] = mapped_column(String(32))
    object_id: Mapped[int | None] = mapped_column(Id)
    before: Mapped[str | None] = mapped_column(Text)
    after: Mapped[str | None] = mapped_column(Text)
    ip_address: Mapped[str] = mapped_column(String(45))


class UserLog(Base):
    """What a user did with his own account: log-ins, downloads, devices."""

    __tablename__ = "user_logs"
    __table_args__ = (Index("ix_user_logs_user_id_id", "user_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(Id)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    action: Mapped[str] = mapped_column(String(64))
    detail: Mapped[str | None] = mapped_column(Text)
    ip_address: Mapped[str] = mapped_column(String(45))
    location: Mapped[str] = mapped_column(String(128))
    browser: Mapped[str] = mapped_column(String(128))


class UserHistory(Base):
    """The history of use that outlives the account: rentals, serials, ACL versions."""

    __tablename__ = "user_history"
    __table_args__ = (Index("ix_user_history_user_id_id", "user_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(Id)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(String(64))
    rental_id: Mapped[int | None] = mapped_column(Id)
    detail: Mapped[str | None] = mapped_column(Text)


class ServerLog(Base):
    """What was done on a server, by whom, with what result."""

    __tablename__ = "server_logs"
    __table_args__ = (Index("ix_server_logs_server_id_id", "server_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    server_id: Mapped[int] = mapped_column(Id)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor_name: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    result: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str | None] = mapped_column(Text)


class LogSeal(Base):
    """One link of the chain over the operation log; retired rows leave theirs behind."""

    __tablename__ = "log_seals"

    position: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    log_id: Mapped[int] = mapped_column(Id, unique=True)
    digest: Mapped[str] = mapped_column(String(64))


class LogChain(Base):
    """The end of the chain: one row, which its only sealer locks."""

    __tablename__ = "log_chain"

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(Text, info=SEALED)
    """Sealed: whoever has the database alone cannot make the chain anew."""
    position: Mapped[int] = mapped_column(Id)
    digest: Mapped[str] = mapped_column(String(64))
    floor_id: Mapped[int] = mapped_column(Id)
    """Every row up to this id is sealed, and none can come any more."""
    retired_until: Mapped[int] = mapped_column(Id)
    """Up to this id the database lets rows of the operation log be removed."""


APPENDED_ONLY = (SystemLog, UserLog, UserHistory, ServerLog)


def _refuse_row(*_: object) -> None:
    raise AppendOnly("log rows are never changed or removed")


for _model in APPENDED_ONLY:
    event.listen(_model, "before_update", _refuse_row)
    event.listen(_model, "before_delete", _refuse_row)


@event.listens_for(Session, "do_orm_execute")
def _refuse_statement(state: ORMExecuteState) -> None:  # pyright: ignore[reportUnusedFunction] # registered by the decorator
    mapper = state.bind_mapper if state.is_update or state.is_delete else None
    if mapper is not None and issubclass(mapper.class_, APPENDED_ONLY):
        _refuse_row()
