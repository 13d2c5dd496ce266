"""Selects behind the pages of distributors, and of who looks after them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import func, select

from derpman.distribution import settlement, terms
from derpman.distribution.models import Application, Commission, Statement
from derpman.distribution.states import ApplicationStatus
from derpman.distribution.terms import Terms
from derpman.finance import ledger
from derpman.finance.models import Account, AccountKind, FinanceDay, Order, OrderKind
from derpman.kit.paging import page
from derpman.kit.work import Role, UnitOfWork
from derpman.serials.models import Serial
from derpman.serials.states import SerialStatus
from derpman.users.models import User

BALANCES = (AccountKind.PAYABLE, AccountKind.CREDIT, AccountKind.CASH)


@dataclass(frozen=True)
class Sums:
    """A distributor's finances, in fen, of all time; sales are from the roll-ups of the ledger."""

    list_fen: int = 0
    """Turnover at list price: his purchases and what his customers bought themselves."""
    discount_fen: int = 0
    settled_fen: int = 0
    open_fen: int = 0
    """Of the commission: not settled yet."""
    owed_fen: int = 0
    wallet_fen: int = 0

    @property
    def commission_fen(self) -> int:
        """Return all commissions less what was taken back."""
        return self.settled_fen + self.open_fen


def distributors(
    work: UnitOfWork,
    *,
    name: str | None = None,
    before: int | None,
    limit: int,
    sort: str | None = None,
) -> tuple[list[User], int | None]:
    """Return a page of distributors, the newest first; `name` is how one begins."""
    found = select(User).where(User.role == Role.DISTRIBUTOR)
    if name:
        found = found.where(User.username_key.startswith(name.casefold(), autoescape=True))
    return page(work.session, found, User.id, before, limit, sort)


def sums_of(work: UnitOfWork, *, user_ids: Iterable[int]) -> dict[int, Sums]:
    """Return the finances of distributors, in three statements."""
    ids = set(user_ids)
    sold = work.session.execute(
        select(
            FinanceDay.distributor_id,
            func.sum(FinanceDay.sold_fen + FinanceDay.discount_fen).label("list_fen"),
            func.sum(FinanceDay.discount_fen).label("discount_fen"),
        )
        .where(FinanceDay.distributor_id.in_(ids))
        .group_by(FinanceDay.distributor_id)
    )
    by_id = {row.distributor_id: row for row in sold}
    held = work.session.execute(
        select(Account.user_id, Account.kind, Account.balance_fen).where(
            Account.user_id.in_(ids), Account.kind.in_(BALANCES)
        )
    )
    balances = {(row.user_id, row.kind): row.balance_fen for row in held}
    paid = work.session.execute(
        select(Statement.user_id, func.sum(Statement.to_credit_fen + Statement.to_wallet_fen))
        .where(Statement.user_id.in_(ids))
        .group_by(Statement.user_id)
    )
    settled = {user_id: int(fen) for user_id, fen in paid}
    found: dict[int, Sums] = {}
    for one in ids:
        row = by_id.get(one)
        found[one] = Sums(
            list_fen=0 if row is None else int(row.list_fen),
            discount_fen=0 if row is None else int(row.discount_fen),
            settled_fen=settled.get(one, 0),
            open_fen=balances.get((one, AccountKind.PAYABLE), 0),
            owed_fen=-balances.get((one, AccountKind.CREDIT), 0),
            wallet_fen=balances.get((one, AccountKind.CASH), 0),
        )
    return found


@dataclass(frozen=True)
class Summary:
    """What a distributor sees first."""

    terms: Terms
    rate_bp: int
    sums: Sums
    credit_free_fen: int
    customers: int
    in_service: int
    serials: dict[SerialStatus, int]
    pending_applications: int
    commission_this_month_fen: int


def summary(work: UnitOfWork, *, user_id: int) -> Summary:
    """Return a distributor's own figures; what is counted is his alone."""
    count = work.session.scalar
    his = terms.of(work, user_id=user_id)
    sums = sums_of(work, user_ids=[user_id])[user_id]
    customers = select(func.count(User.id)).where(User.distributor_id == user_id)
    states = work.session.execute(
        select(Serial.status, func.count(Serial.id))
        .where(Serial.distributor_id == user_id)
        .group_by(Serial.status)
    )
    this = settlement.month_of(ledger.day_of(work.now))
    return Summary(
        terms=his,
        rate_bp=terms.rates(work)[his.level],
        sums=sums,
        credit_free_fen=max(0, his.credit_limit_fen - sums.owed_fen),
        customers=count(customers) or 0,
        in_service=count(customers.where(User.rental_expiry > work.now)) or 0,
        serials={row[0]: row[1] for row in states},
        pending_applications=count(
            select(func.count(Application.id)).where(
                Application.user_id == user_id, Application.status == ApplicationStatus.PENDING
            )
        )
        or 0,
        commission_this_month_fen=int(
            count(
                select(func.sum(Commission.fen)).where(
                    Commission.user_id == user_id,
                    Commission.statement_id.is_(None),
                    Commission.booked_on >= this,
                )
            )
            or 0
        ),
    )


def customers(
    work: UnitOfWork,
    *,
    distributor_id: int,
    name: str | None = None,
    before: int | None,
    limit: int,
    sort: str | None = None,
) -> tuple[list[User], int | None]:
    """Return a page of a distributor's customers, the newest first; `name` is how one begins."""
    found = select(User).where(User.distributor_id == distributor_id)
    if name:
        found = found.where(User.username_key.startswith(name.casefold(), autoescape=True))
    return page(work.session, found, User.id, before, limit, sort)


def applications(
    work: UnitOfWork,
    *,
    user_id: int | None = None,
    status: ApplicationStatus | None = None,
    before: int | None,
    limit: int,
    sort: str | None = None,
) -> tuple[list[Application], int | None]:
    """Return a page of applications, the newest first."""
    found = select(Application)
    if user_id is not None:
        found = found.where(Application.user_id == user_id)
    if status is not None:
        found = found.where(Application.status == status)
    return page(work.session, found, Application.id, before, limit, sort)


def statements(
    work: UnitOfWork,
    *,
    user_id: int | None = None,
    before: int | None,
    limit: int,
    sort: str | None = None,
) -> tuple[list[Statement], int | None]:
    """Return a page of statements, the newest first."""
    found = select(Statement)
    if user_id is not None:
        found = found.where(Statement.user_id == user_id)
    return page(work.session, found, Statement.id, before, limit, sort)


def commissions(
    work: UnitOfWork,
    *,
    user_id: int,
    statement_id: int | None = None,
    before: int | None,
    limit: int,
    sort: str | None = None,
) -> tuple[list[Commission], int | None]:
    """Return a page of a distributor's commissions, the newest first; perhaps of one statement."""
    found = select(Commission).where(Commission.user_id == user_id)
    if statement_id is not None:
        found = found.where(Commission.statement_id == statement_id)
    return page(work.session, found, Commission.id, before, limit, sort)


def numbers_of(work: UnitOfWork, found: Sequence[Commission]) -> dict[int, str]:
    """Return the numbers of the orders that commissions are of."""
    ids = {one.order_id for one in found}
    rows = work.session.execute(select(Order.id, Order.number).where(Order.id.in_(ids)))
    return {row.id: row.number for row in rows}


@dataclass(frozen=True)
class Purchases:
    """What a distributor bought in a month, at list price and at his."""

    orders: int
    serials: int
    list_fen: int
    amount_fen: int

    @property
    def discount_fen(self) -> int:
        return self.list_fen - self.amount_fen


def purchases_of(work: UnitOfWork, *, user_id: int, month: date) -> Purchases:
    """Return what a distributor's paid purchases of a month in Beijing come to."""
    first, last = (
        datetime(day.year, day.month, day.day, tzinfo=ledger.BEIJING).astimezone(UTC)
        for day in (month, settlement.after(month))
    )
    row = work.session.execute(
        select(
            func.count(Order.id),
            func.sum(Order.quantity),
            func.sum(Order.list_fen),
            func.sum(Order.amount_fen),
        ).where(
            Order.user_id == user_id,
            Order.kind == OrderKind.SERIALS,
            Order.paid_at >= first,
            Order.paid_at < last,
        )
    ).one()
    return Purchases(*(int(value or 0) for value in row))
