"""Lists that a distributor sees of his own and his admins of anybody's: JSON, or CSV."""

from __future__ import annotations

from typing import Any

from derpman.distribution import pages
from derpman.distribution.schemas import (
    ApplicationPart,
    ApplicationsQuery,
    CommissionPart,
    CustomerPart,
    NameQuery,
    StatementPart,
)
from derpman.kit.csvfile import listed
from derpman.kit.paging import TimedQuery
from derpman.kit.work import Edge


def customers_of(run: Edge, user_id: int, query: NameQuery) -> Any:
    """Answer with a distributor's customers."""
    return listed(
        query,
        lambda one: run.read(pages.customers, distributor_id=user_id, **one.asked()),
        name="customers",
        rows="customers",
        row=CustomerPart,
    )


def commissions_of(run: Edge, user_id: int, query: TimedQuery) -> Any:
    """Answer with what a distributor earned by his customers' orders."""
    return listed(
        query,
        lambda one: run.read(pages.commissions, user_id=user_id, **one.asked()),
        name="commissions",
        rows="commissions",
        row=CommissionPart,
    )


def applications_found(run: Edge, query: ApplicationsQuery, user_id: int | None) -> Any:
    """Answer with applications, a distributor's or everybody's."""
    return listed(
        query,
        lambda one: run.read(pages.applications, **(one.asked() | {"user_id": user_id})),
        name="applications",
        rows="applications",
        row=ApplicationPart,
    )


def statements_found(run: Edge, query: TimedQuery, user_id: int | None) -> Any:
    """Answer with settled months, a distributor's or everybody's."""
    return listed(
        query,
        lambda one: run.read(pages.statements, **(one.asked() | {"user_id": user_id})),
        name="statements",
        rows="statements",
        row=StatementPart,
    )
