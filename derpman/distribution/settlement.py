"""A month of a distributor is settled when it is over: his credit first, the rest to his wallet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy import func, select, update

from derpman.distribution.commissions import payable
from derpman.distribution.errors import StatementNotFound
from derpman.distribution.events import StatementMade
from derpman.distribution.models import Commission, Statement
from derpman.finance import ledger
from derpman.finance.ledger import Move
from derpman.finance.models import EntryKind
from derpman.kit.types import MAX_ID
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.users import service as users


def month_of(day: date) -> date:
    """Return the first day of a day's month."""
    return day.replace(day=1)


def after(month: date) -> date:
    """Return the first day of the month after."""
    return month_of(month + timedelta(days=31))


def due(work: UnitOfWork, *, above: int = 0, limit: int) -> Sequence[int]:
    """Return ids, above one, of distributors with commission of months over that is not settled."""
    this = month_of(ledger.day_of(work.now))
    return work.session.scalars(
        select(Commission.user_id)
        .where(
            Commission.user_id > above,
            Commission.statement_id.is_(None),
            Commission.booked_on < this,
        )
        .group_by(Commission.user_id)
        .order_by(Commission.user_id)
        .limit(limit)
    ).all()


def settle(work: UnitOfWork, *, user_id: int) -> list[Statement]:
    """Settle every month of a distributor that is over, each once, the oldest first.

    What was booked late for a month that is settled already belongs to the next one.
    """
    users.lock(work, user_id)
    this = month_of(ledger.day_of(work.now))
    made: list[Statement] = []
    while True:
        oldest = work.session.scalar(
            select(func.min(Commission.booked_on)).where(
                Commission.user_id == user_id,
                Commission.statement_id.is_(None),
                Commission.booked_on < this,
            )
        )
        if oldest is None:
            return made
        last = _last(work, user_id)
        month = month_of(oldest)
        if last is not None:
            month = max(month, after(last.month))
        if month >= this:
            return made
        made.append(_settle(work, user_id, month, 0 if last is None else last.closing_fen))


def _last(work: UnitOfWork, user_id: int) -> Statement | None:
    found = select(Statement).where(Statement.user_id == user_id)
    return work.session.scalars(found.order_by(Statement.month.desc()).limit(1)).one_or_none()


def _settle(work: UnitOfWork, user_id: int, month: date, opening_fen: int) -> Statement:
    lines = work.session.execute(
        select(Commission.id, Commission.fen).where(
            Commission.user_id == user_id,
            Commission.statement_id.is_(None),
            Commission.booked_on < after(month),
        )
    ).all()
    earned = sum(line.fen for line in lines if line.fen > 0)
    taken_back = -sum(line.fen for line in lines if line.fen < 0)
    net = opening_fen + earned - taken_back
    owed = -ledger.balance(work, ledger.credit(user_id))
    to_credit = min(max(0, net), owed)
    to_wallet = max(0, net) - to_credit
    statement = Statement(
        user_id=user_id,
        month=month,
        opening_fen=opening_fen,
        earned_fen=earned,
        taken_back_fen=taken_back,
        to_credit_fen=to_credit,
        to_wallet_fen=to_wallet,
        closing_fen=min(0, net),
        created_at=work.now,
    )
    work.session.add(statement)
    work.session.flush()
    if net > 0:
        his = payable(user_id)
        statement.entry_id = ledger.post(
            work,
            kind=EntryKind.SETTLEMENT,
            key=f"settlement:{user_id}:{month}",
            moves=[
                Move(his, ledger.credit(user_id), to_credit),
                Move(his, ledger.cash(user_id), to_wallet),
            ],
            user_id=user_id,
            distributor_id=user_id,
            note=f"{month:%Y-%m}",
        ).id
    ids = [line.id for line in lines]
    for start in range(0, len(ids), 1000):
        work.session.execute(
            update(Commission)
            .where(Commission.id.in_(ids[start : start + 1000]))
            .values(statement_id=statement.id)
            .execution_options(synchronize_session=False)
        )
    logs.record(
        work,
        action="distributor.settle",
        object_type="user",
        object_id=user_id,
        after={"month": f"{month:%Y-%m}", "to_credit_fen": to_credit, "to_wallet_fen": to_wallet},
    )
    work.emit(StatementMade(statement_id=statement.id))
    work.wake(f"wallet:{user_id}")
    return statement


def get(work: UnitOfWork, statement_id: int) -> Statement:
    """Return a statement that the actor may see: his own, or any for staff."""
    found = work.session.get(Statement, statement_id) if 0 < statement_id <= MAX_ID else None
    if found is None or not (work.actor.is_staff or found.user_id == work.actor.user_id):
        raise StatementNotFound
    return found
