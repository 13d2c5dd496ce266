"""The owner's figures at a million orders of a year, on MariaDB: from roll-ups, with no scan."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Table, event, func, insert, literal, select

from bench._bench import Bench
from bench._ground import Ground
from bench.expiry import PRODUCTION, system_of
from derpman.finance import rollups, statistics
from derpman.finance import service as finance
from derpman.finance.models import (
    Account,
    AccountKind,
    EntryKind,
    JournalEntry,
    Method,
    Order,
    OrderKind,
    Transfer,
)
from derpman.finance.states import OrderStatus
from derpman.kit.db import Base
from derpman.kit.work import Role, UnitOfWork
from derpman.users import service as users
from derpman.wiring import System
from tests.system.services import MariaDB

ORDERS = 1_000_000
BLOCK = 2000
"""So many orders are written; the others are copies of them, made by the database."""
DAYS = 365
LAST = date(2026, 3, 1)
NOON = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)


def measure(bench: Bench, _ground: Ground) -> None:
    with MariaDB() as database, TemporaryDirectory() as folder:
        for setting in PRODUCTION:
            database.execute(f"SET GLOBAL {setting}")
        system = system_of(database.fresh(), Path(folder), clock=lambda: NOON)
        orders = bench.scaled(ORDERS, least=2 * BLOCK)
        with bench.step(f"fill a database with {orders} paid orders of a year"):
            _fill(system, orders)
        edge = system.edge()
        with bench.step("make the sums of every day from the ledger"):
            seconds, _ = _timed(lambda: edge(rollups.refresh))
        beside = f"{orders / 1_000_000:g} million orders, {DAYS} days"
        bench.figure("money_all_days_s", seconds, "s", reference=beside)
        today, _ = _timed(lambda: edge(rollups.rebuild, day=LAST))
        bench.figure("money_one_day_s", today, "s", reference="what is done every five seconds")
        asked: list[str] = []
        event.listen(system.engine, "before_cursor_execute", lambda *all_: asked.append(all_[2]))
        first = LAST - timedelta(days=DAYS)
        page, found = _timed(lambda: edge.read(statistics.overview, first=first, last=LAST))
        scans = [one for one in asked if "finance_days" not in one]
        bench.figure("money_page_statements", len(asked), "", at_most=5, reference=beside)
        bench.figure("money_page_scans", len(scans), "", at_most=0, reference="of other tables")
        bench.figure("money_page_s", page, "s", at_most=0.1, reference=beside)
        truth = edge.read(_truth)
        differ = [found.total.received_fen - truth[0], found.total.orders - truth[1]]
        bench.figure(
            "money_difference", sum(map(abs, differ)), "", at_most=0, reference="to the ledger"
        )
        system.engine.dispose()


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    began = time.monotonic()
    result = action()
    return time.monotonic() - began, result


def _truth(work: UnitOfWork) -> tuple[int, int]:
    """Return what came in and how many orders were paid, from every transfer there is."""
    account = select(Account.id).where(Account.kind == AccountKind.ALIPAY).scalar_subquery()
    received = select(func.sum(Transfer.amount_fen)).where(Transfer.debit_id == account)
    paid = select(func.count(JournalEntry.id)).where(JournalEntry.kind == EntryKind.ORDER_PAID)
    return int(work.session.scalar(received) or 0), int(work.session.scalar(paid) or 0)


def _fill(system: System, orders: int) -> None:
    edge = system.edge()
    edge(_put_block)
    have = BLOCK
    while have < orders:
        edge(_copy, have, min(have, orders - have))
        have = min(2 * have, orders)


def _put_block(work: UnitOfWork) -> None:
    user = users.create(
        work,
        username="buyer",
        email="buyer@example.com",
        password_hash="-",
        role=Role.USER,
        locale="en",
    )
    plans = finance.plans(work)
    received = Account(kind=AccountKind.ALIPAY, user_id=0, balance_fen=0)
    deferred = Account(kind=AccountKind.DEFERRED, user_id=0, balance_fen=0)
    work.session.add_all([received, deferred])
    work.session.flush()
    for number in range(1, BLOCK + 1):
        plan, day = plans[number % len(plans)], LAST - timedelta(days=number % DAYS)
        at = NOON - timedelta(days=number % DAYS)
        order = {
            "id": number,
            "number": f"D{number}",
            "user_id": user.id,
            "request_key": f"k{number}",
            "kind": OrderKind.RENTAL,
            "plan_id": plan.id,
            "duration_days": plan.duration_days,
            "quantity": 1,
            "list_fen": plan.price_fen,
            "amount_fen": plan.price_fen,
            "cash_fen": 0,
            "bonus_fen": 0,
            "refunded_fen": 0,
            "status": OrderStatus.COMPLETED,
            "method": Method.ALIPAY,
            "created_at": at,
            "closes_at": at,
            "paid_at": at,
            "version": 1,
        }
        entry = {
            "id": number,
            "kind": EntryKind.ORDER_PAID,
            "booking_key": f"alipay:{number}",
            "order_id": number,
            "user_id": user.id,
            "plan_id": plan.id,
            "booked_on": day,
            "created_at": at,
        }
        transfer = {
            "id": number,
            "entry_id": number,
            "debit_id": received.id,
            "credit_id": deferred.id,
            "amount_fen": plan.price_fen,
        }
        work.session.execute(insert(Order), [order])
        work.session.execute(insert(JournalEntry), [entry])
        work.session.execute(insert(Transfer), [transfer])


def _copy(work: UnitOfWork, have: int, count: int) -> None:
    """Copy the first `count` orders, entries and transfers, with numbers that follow."""
    moved: dict[type[Base], tuple[str, ...]] = {
        Order: ("id",),
        JournalEntry: ("id", "order_id"),
        Transfer: ("id", "entry_id"),
    }
    named = {"number": "D", "request_key": "k", "booking_key": "alipay:"}
    for table, numbers in moved.items():
        columns = table.__table__
        assert isinstance(columns, Table)
        chosen: list[Any] = []
        for column in columns.c:
            if column.name in numbers:
                chosen.append(column + have)
            elif column.name in named:
                chosen.append(func.concat(literal(named[column.name]), columns.c.id + have))
            else:
                chosen.append(column)
        source = select(*chosen).where(columns.c.id <= count)
        work.session.execute(insert(table).from_select([one.name for one in columns.c], source))
