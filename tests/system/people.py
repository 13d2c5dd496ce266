"""Many customers with rentals that run, written quickly."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import String, Table, cast, insert, literal, select

from derpman.containers.states import Observed, Wanted
from derpman.finance import service as finance
from derpman.finance.models import OverQuota
from derpman.kit.db import Base
from derpman.kit.work import Edge, Role, UnitOfWork
from derpman.rentals.models import Rental
from derpman.rentals.states import RentalStatus
from derpman.users.models import User
from derpman.users.states import UserStatus

BLOCK = 1000
"""So many users are written; the others are copies of them, made by the database."""


def put_users(edge: Edge, users: int) -> None:
    """Fill an empty database with `user1` to `userN`."""
    edge(_put_block)
    have = BLOCK
    while have < users:
        edge(_copy, have, min(have, users - have))
        have = min(2 * have, users)


def put(work: UnitOfWork, table: type[Base], rows: list[dict[str, Any]]) -> None:
    """Insert rows as they are."""
    assert isinstance(table.__table__, Table)
    work.session.execute(insert(table), rows)


def _put_block(work: UnitOfWork) -> None:
    """Customers whose rentals run for a long time yet."""
    plan = finance.plan_of_days(work, 30)
    ends = work.now + timedelta(days=60)
    put(work, User, [_user(number, ends, work.now) for number in range(1, BLOCK + 1)])
    put(
        work,
        Rental,
        [rental_row(number, plan.id, ends, work.now) for number in range(1, BLOCK + 1)],
    )


def _copy(work: UnitOfWork, by: int, count: int) -> None:
    """Copy the first users and their rentals, with ids that are `by` higher."""
    name = literal("user") + cast(User.id + by, String(20))
    changed: dict[str, Any] = {
        "id": User.id + by,
        "username": name,
        "username_key": name,
        "email": name + "@example.com",
        "email_key": name + "@example.com",
    }
    _copy_rows(work, User, changed, count)
    changed = {
        "id": Rental.id + by,
        "user_id": Rental.user_id + by,
        "open_user_id": Rental.open_user_id + by,
    }
    _copy_rows(work, Rental, changed, count)


def _copy_rows(work: UnitOfWork, table: type[Any], changed: dict[str, Any], count: int) -> None:
    names = [column.name for column in table.__table__.columns]
    values = [changed.get(name, table.__table__.c[name]) for name in names]
    rows = select(*values).where(table.id <= literal(count))
    work.session.execute(insert(table.__table__).from_select(names, rows))


def _user(number: int, ends: datetime, now: datetime) -> dict[str, Any]:
    name = f"user{number}"
    return {
        "id": number,
        "username": name,
        "username_key": name,
        "email": f"{name}@example.com",
        "email_key": f"{name}@example.com",
        "password": "-",
        "role": Role.USER,
        "status": UserStatus.ACTIVE,
        "locale": "en",
        "rental_expiry": ends,
        "created_at": now,
        "version": 1,
    }


def rental_row(number: int, plan_id: int, ends: datetime, now: datetime) -> dict[str, Any]:
    """Return a rental that runs, of the user with the same number."""
    return {
        "id": number,
        "user_id": number,
        "open_user_id": number,
        "plan_id": plan_id,
        "status": RentalStatus.ACTIVE,
        "started_at": now,
        "expires_at": ends,
        "region_base": 931,
        "traffic_bytes": 10**11,
        "rate_bytes_per_second": 0,
        "device_limit": 5,
        "over_quota": OverQuota.STOP,
        "throttle_bytes_per_second": 0,
        "period": 1,
        "period_from": now,
        "next_notice_at": ends - timedelta(days=7),
        "version": 1,
    }


def relay_row(
    number: int, user_id: int, server_id: int, slot: int, expires_at: datetime, now: datetime
) -> dict[str, Any]:
    """Return a relay that runs as wished, on the first port of its server."""
    return {
        "id": number,
        "user_id": user_id,
        "rental_id": user_id,
        "server_id": server_id,
        "slot": slot,
        "generation": 1,
        "region_id": 930 + slot,
        "address": f"203.0.113.{server_id}",
        "port": 20000,
        "certificate": "-",
        "private_key": "-",
        "pin": f"{number:064x}",
        "mesh_key": "-",
        "expires_at": expires_at,
        "rate_bytes_per_second": 0,
        "throttle_bytes_per_second": 0,
        "wanted": Wanted.RUNNING,
        "observed": Observed.READY,
        "restarts": 0,
        "created_at": now,
    }
