"""One person's data: all of it to take along, and its erasure after he has gone.

What is his follows from the tables: rows that name him in `user_id`, his account, what he did in
the operation log, and what hangs on his orders. What law wants kept (orders, ledger, receipts, the
history of use) stays without his name; the operation log is chained and stays as it is.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from enum import Enum
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from sqlalchemy import Column, Select, Table, delete, select, update

from derpman.kit.db import Base, changed
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.users import service as users
from derpman.users.errors import NotGone
from derpman.users.models import Registration, User
from derpman.users.states import UserStatus

IN_MEMORY = 4_000_000
ROWS_AT_ONCE = 1000
BLANK = ""
WITHHELD = ("password", "secret", "private_key", "mesh_key", "token", "_hash", "credential")
"""Ends of names of columns that prove something to us or to others: of no use to him."""
OF_ORDERS = ("payments",)
"""Tables that name an order and not whose it is."""

FORGOTTEN = (
    "linked_devices",
    "device_presence",
    "device_knocks",
    "devices",
    "tailnet_links",
    "acl_pushes",
    "acl_addresses",
    "api_tokens",
    "password_resets",
    "recovery_codes",
    "second_factors",
    "sessions",
    "mails",
    "user_logs",
)
"""Tables whose rows go, in this order: nothing that stays is reckoned from them."""
BLANKED = {
    "acl_downloads": ("username", "ip_address", "location", "machine_code", "browser"),
    "acl_logs": ("ip_address", "location"),
    "acl_rotations": ("ip_address",),
    "distributor_applications": ("note",),
    "receipts": ("note",),
    "serial_numbers": ("note",),
}
"""Tables whose rows stay, and the columns that told who and where."""


def archive(work: UnitOfWork, *, user_id: int) -> IO[bytes]:
    """Return a ZIP with a file of JSON lines for each table that has something of his."""
    users.get(work, user_id)
    out = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 # whoever sends it closes it
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for table, wanted in _his(user_id):
            shown = [column for column in table.columns if not _is_withheld(column)]
            rows = work.session.execute(wanted.with_only_columns(*shown)).yield_per(ROWS_AT_ONCE)
            first = rows.mappings().fetchone()
            if first is None:
                continue
            with packed.open(f"{table.name}.jsonl", "w", force_zip64=True) as lines:
                lines.write(_line(first))
                for row in rows.mappings():
                    lines.write(_line(row))
    logs.record(work, action="user.data_taken", object_type="user", object_id=user_id)
    out.seek(0)
    return out


def _his(user_id: int) -> Iterator[tuple[Table, Select[Any]]]:
    """Yield every table that may hold something of a person, with the question for it."""
    tables = Base.metadata.tables
    orders = tables["orders"]
    mine = select(orders.c.id).where(orders.c.user_id == user_id)
    for name in sorted(tables):
        table = tables[name]
        if name == "users":
            yield table, select(table).where(table.c.id == user_id)
        elif name == "system_logs":
            yield table, select(table).where(table.c.actor_id == user_id)
        elif name in OF_ORDERS:
            yield table, select(table).where(table.c.order_id.in_(mine))
        elif "user_id" in table.columns:
            yield table, select(table).where(table.c.user_id == user_id)


def _is_withheld(column: Column[Any]) -> bool:
    return bool(column.info.get("sealed")) or column.name.endswith(WITHHELD)


def _line(row: Any) -> bytes:
    return (json.dumps(dict(row), ensure_ascii=False, default=_plain) + "\n").encode()


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    return None if isinstance(value, bytes) else str(value)


def erase(work: UnitOfWork, *, user_id: int) -> None:
    """Make a deregistered account nobody's: NotGone before that. A second time changes nothing."""
    user = users.lock(work, user_id)
    if user.status is not UserStatus.DEREGISTERED:
        raise NotGone
    former, nobody = user.username, f"#{user.id}"  # no username begins so
    for name in FORGOTTEN:
        table = Base.metadata.tables[name]
        work.session.execute(delete(table).where(table.c.user_id == user_id))
    work.session.execute(delete(Registration).where(Registration.username_key == user.username_key))
    for name, columns in BLANKED.items():
        table = Base.metadata.tables[name]
        blank = {column: None if table.c[column].nullable else BLANK for column in columns}
        changed(work.session, update(table).where(table.c.user_id == user_id).values(blank))
    for table in Base.metadata.tables.values():
        if table.name not in FORGOTTEN and {"user_id", "actor_name"} <= set(table.columns.keys()):
            own = (table.c.user_id == user_id, table.c.actor_name == former)
            work.session.execute(update(table).where(*own).values(actor_name=nobody))
    _forget_name(user, nobody)
    work.session.flush()
    logs.record(work, action="user.erase", object_type="user", object_id=user_id)


def _forget_name(user: User, nobody: str) -> None:
    user.username = user.username_key = nobody
    user.email, user.email_key = BLANK, nobody
    user.former_email_key = user.status_reason = None
    user.password = BLANK
