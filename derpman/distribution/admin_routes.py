"""`/api/admin/…`: distributors as those see them who look after them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from derpman.distribution import applications, pages, terms
from derpman.distribution.lists import (
    applications_found,
    commissions_of,
    customers_of,
    statements_found,
)
from derpman.distribution.printed import HTML, page_of
from derpman.distribution.routes import statement_csv
from derpman.distribution.schemas import (
    AllApplicationsQuery,
    ApplicationsOut,
    ClassesOut,
    CommissionsOut,
    CustomersOut,
    DistributorPart,
    DistributorsOut,
    NameQuery,
    OneApplicationOut,
    OneDistributorOut,
    OneStatementOut,
    Refuse,
    SetRate,
    SetTerms,
    StatementsOut,
    StatementsQuery,
)
from derpman.kit.csvfile import CSV, listed
from derpman.kit.http import RunAdmin, RunSuperAdminFresh
from derpman.kit.paging import TimedQuery
from derpman.kit.types import IdValue
from derpman.kit.work import UnitOfWork

router = APIRouter(prefix="/api/admin", tags=["admin"])


@router.get("/distributor/list", response_model=DistributorsOut, responses=CSV)
def list_distributors(run: RunAdmin, query: Annotated[NameQuery, Query()]) -> Any:
    """Distributors with their terms and finances, newest first."""
    return listed(
        query,
        lambda one: run.read(pages.distributors, **one.asked()),
        name="distributors",
        rows="distributors",
        row=DistributorPart,
    )


@router.get("/distributor/classes")
def show_classes(run: RunAdmin) -> ClassesOut:
    """What each class gets, now and before."""
    return run.read(_classes)


@router.post("/distributor/classes")
def set_class_rate(run: RunSuperAdminFresh, body: SetRate) -> ClassesOut:
    """Have a class get another rate from now on."""
    run(terms.set_rate, level=body.level, rate_bp=body.rate_bp)
    return run.read(_classes)


def _classes(work: UnitOfWork) -> ClassesOut:
    return ClassesOut(rates=terms.rates(work), history=pages.rate_lines(work))


@router.get("/distributor/{user_id}")
def show_distributor(run: RunAdmin, user_id: IdValue) -> OneDistributorOut:
    """One distributor: his terms now and before, his money, customers and serials."""
    return run.read(pages.distributor, user_id)


@router.post("/distributor/{user_id}/terms")
def set_terms(run: RunSuperAdminFresh, user_id: IdValue, body: SetTerms) -> OneDistributorOut:
    """Give a distributor another class, credit, or the right to make serials, from now on."""
    run(terms.set_terms, user_id=user_id, **body.model_dump())
    return run.read(pages.distributor, user_id)


@router.get("/distributor/{user_id}/customers", response_model=CustomersOut, responses=CSV)
def list_customers(run: RunAdmin, user_id: IdValue, query: Annotated[NameQuery, Query()]) -> Any:
    """A distributor's customers, newest first."""
    return customers_of(run, user_id, query)


@router.get("/distributor/{user_id}/commissions", response_model=CommissionsOut, responses=CSV)
def list_commissions(run: RunAdmin, user_id: IdValue, query: Annotated[TimedQuery, Query()]) -> Any:
    """What a distributor earned by his customers' orders, newest first."""
    return commissions_of(run, user_id, query)


@router.get("/applications", response_model=ApplicationsOut, responses=CSV)
def list_applications(run: RunAdmin, query: Annotated[AllApplicationsQuery, Query()]) -> Any:
    """Everybody's applications, newest first."""
    return applications_found(run, query, query.user_id)


@router.post("/applications/{application_id}/approve")
def approve(run: RunAdmin, application_id: IdValue) -> OneApplicationOut:
    """Make an order of an application; within the distributor's credit its serials are made."""
    return run(_approved, application_id)


@router.post("/applications/{application_id}/refuse")
def refuse(run: RunAdmin, application_id: IdValue, body: Refuse) -> OneApplicationOut:
    """Refuse an application; the distributor is told why."""
    return run(_refused, application_id, body.reason)


def _approved(work: UnitOfWork, application_id: int) -> OneApplicationOut:
    return pages.application(work, applications.approve(work, application_id=application_id))


def _refused(work: UnitOfWork, application_id: int, reason: str) -> OneApplicationOut:
    refused = applications.refuse(work, application_id=application_id, reason=reason)
    return pages.application(work, refused)


@router.get("/statements", response_model=StatementsOut, responses=CSV)
def list_statements(run: RunAdmin, query: Annotated[StatementsQuery, Query()]) -> Any:
    """Everybody's months, newest first."""
    return statements_found(run, query, query.user_id)


@router.get("/statements/{statement_id}")
def show_statement(run: RunAdmin, statement_id: IdValue) -> OneStatementOut:
    """One month of a distributor."""
    return run.read(pages.statement, statement_id)


@router.get("/statements/{statement_id}/export", response_class=Response, responses=CSV)
def export_statement(run: RunAdmin, statement_id: IdValue) -> Response:
    """The lines of a month as CSV."""
    return statement_csv(run, statement_id)


@router.get("/statements/{statement_id}/print", response_class=Response, responses=HTML)
def print_statement(run: RunAdmin, statement_id: IdValue) -> Response:
    """A month on paper."""
    return page_of(run, statement_id)
