"""What distributors' pages and their admins' have in common: rows with the names that belong in."""

from __future__ import annotations

from typing import Any

from derpman.distribution import queries, settlement, terms
from derpman.distribution.models import Application, Statement
from derpman.distribution.schemas import (
    ApplicationPart,
    ApplicationsOut,
    CommissionPart,
    CommissionsOut,
    CustomerPart,
    CustomersOut,
    DistributorPart,
    DistributorsOut,
    OneApplicationOut,
    OneDistributorOut,
    OneStatementOut,
    PurchaseOut,
    PurchasesPart,
    RateLine,
    StatementPart,
    StatementsOut,
    SummaryOut,
    SumsPart,
    TermsLine,
    TermsPart,
)
from derpman.finance import orders
from derpman.finance import queries as finance_queries
from derpman.kit.work import UnitOfWork
from derpman.serials import queries as serial_queries
from derpman.users import service as users
from derpman.users.models import User

MOST_CODES = 1000


def applications(work: UnitOfWork, **asked: Any) -> ApplicationsOut:
    found, next_before = queries.applications(work, **asked)
    return ApplicationsOut(applications=_applications(work, found), next_before=next_before)


def application(work: UnitOfWork, found: Application) -> OneApplicationOut:
    return OneApplicationOut(application=_applications(work, [found])[0])


def _applications(work: UnitOfWork, found: list[Application]) -> list[ApplicationPart]:
    names = users.names_of(work, user_ids=[one.user_id for one in found])
    plans = finance_queries.names_of_plans(work, plan_ids=[one.plan_id for one in found])
    is_staff = work.actor.is_staff
    return [ApplicationPart.of(one, names, plans, is_staff=is_staff) for one in found]


def purchase(work: UnitOfWork, order_id: int) -> PurchaseOut:
    """Return an order of serials, with their codes once they are there."""
    order = orders.get(work, order_id)
    made = serial_queries.codes_of_order(work, order_id=order_id, limit=MOST_CODES)
    return PurchaseOut(
        order_id=order.id,
        number=order.number,
        status=order.status,
        amount_fen=order.amount_fen,
        codes=made,
    )


def customers(work: UnitOfWork, **asked: Any) -> CustomersOut:
    found, next_before = queries.customers(work, **asked)
    return CustomersOut(customers=[CustomerPart.of(one) for one in found], next_before=next_before)


def statements(work: UnitOfWork, **asked: Any) -> StatementsOut:
    found, next_before = queries.statements(work, **asked)
    return StatementsOut(statements=_statements(work, found), next_before=next_before)


def _statements(work: UnitOfWork, found: list[Statement]) -> list[StatementPart]:
    names = users.names_of(work, user_ids=[one.user_id for one in found])
    return [StatementPart.of(one, names) for one in found]


def statement(work: UnitOfWork, statement_id: int) -> OneStatementOut:
    found = settlement.get(work, statement_id)
    bought = queries.purchases_of(work, user_id=found.user_id, month=found.month)
    return OneStatementOut(
        statement=_statements(work, [found])[0], purchases=PurchasesPart.of(bought)
    )


def commissions(work: UnitOfWork, **asked: Any) -> CommissionsOut:
    found, next_before = queries.commissions(work, **asked)
    numbers = queries.numbers_of(work, found)
    return CommissionsOut(
        commissions=[CommissionPart.of(one, numbers) for one in found], next_before=next_before
    )


def lines_of_statement(
    work: UnitOfWork, statement_id: int, before: int | None, limit: int
) -> tuple[list[CommissionPart], int | None]:
    """Return a page of the lines that a statement is made of."""
    found = settlement.get(work, statement_id)
    page = commissions(
        work, user_id=found.user_id, statement_id=statement_id, before=before, limit=limit
    )
    return page.commissions, page.next_before


def distributors(work: UnitOfWork, **asked: Any) -> DistributorsOut:
    """Return a page of distributors with their terms and sums, in six statements."""
    found, next_before = queries.distributors(work, **asked)
    return DistributorsOut(distributors=_distributors(work, found), next_before=next_before)


def _distributors(work: UnitOfWork, found: list[User]) -> list[DistributorPart]:
    ids = [one.id for one in found]
    theirs, rates = terms.of_many(work, user_ids=ids), terms.rates(work)
    sums = queries.sums_of(work, user_ids=ids)
    parts: list[DistributorPart] = []
    for one in found:
        his = theirs.get(one.id, terms.Terms())
        parts.append(
            DistributorPart(
                id=one.id,
                username=one.username,
                status=one.status,
                created_at=one.created_at,
                terms=TermsPart.of(his),
                rate_bp=rates[his.level],
                sums=SumsPart.of(sums[one.id]),
            )
        )
    return parts


def distributor(work: UnitOfWork, user_id: int) -> OneDistributorOut:
    """Return everything about one distributor, though he is none any more."""
    found = terms.ever_distributor(work, user_id)
    past = terms.history(work, user_id=user_id)
    names = users.names_of(work, user_ids=[one.actor_id or 0 for one in past])
    return OneDistributorOut(
        distributor=_distributors(work, [found])[0],
        summary=SummaryOut.of(queries.summary(work, user_id=user_id)),
        history=[
            TermsLine(
                level=one.level,
                may_generate=one.may_generate,
                credit_limit_fen=one.credit_limit_fen,
                actor=names.get(one.actor_id or 0),
                created_at=one.created_at,
            )
            for one in past
        ],
    )


def rate_lines(work: UnitOfWork) -> list[RateLine]:
    """Return what classes were worth, the newest first."""
    past = terms.rate_history(work)
    names = users.names_of(work, user_ids=[one.actor_id or 0 for one in past])
    return [
        RateLine(
            level=one.level,
            rate_bp=one.rate_bp,
            actor=names.get(one.actor_id or 0),
            created_at=one.created_at,
        )
        for one in past
    ]
