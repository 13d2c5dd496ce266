"""`/api/admin/my/…`: what a distributor sees and does, all of it his own."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from derpman.acl import queries as acl_queries
from derpman.acl.schemas import DownloadPart, DownloadsOut
from derpman.distribution import applications, pages, purchasing, queries, settlement
from derpman.distribution.lists import (
    applications_found,
    commissions_of,
    customers_of,
    statements_found,
)
from derpman.distribution.printed import HTML, page_of
from derpman.distribution.schemas import (
    ApplicationsOut,
    ApplicationsQuery,
    Apply,
    Buy,
    CommissionsOut,
    CustomersOut,
    Generate,
    MySerialsQuery,
    NameQuery,
    OneApplicationOut,
    OneStatementOut,
    PurchaseOut,
    QuoteOut,
    QuoteQuery,
    RepaidOut,
    Repay,
    StatementsOut,
    SummaryOut,
)
from derpman.finance import ledger, purchases
from derpman.kit.csvfile import CSV, csv_file, listed
from derpman.kit.http import Guarded, RunDistributor
from derpman.kit.paging import TimedQuery
from derpman.kit.throttle import Limit
from derpman.kit.types import IdValue
from derpman.kit.work import Edge, UnitOfWork
from derpman.serials import queries as serial_queries
from derpman.serials.models import Serial
from derpman.serials.schemas import SerialOut, SerialsOut
from derpman.users import service as users

router = APIRouter(prefix="/api/admin/my", tags=["admin"])
BOUGHT = Limit("purchases", 60, 3600)
SERIAL_COLUMNS = (
    *("id", "code", "duration_days", "plan_id", "status", "order_id", "user_id"),
    *("created_at", "expires_at", "used_at"),
)
COMMISSION_COLUMNS = ("booked_on", "order", "base_fen", "rate_bp", "fen")


def _me(run: Edge) -> int:
    return run.actor.user_id or 0


@router.get("/summary")
def show_summary(run: RunDistributor) -> SummaryOut:
    """The caller's class, money, customers and serials."""
    return SummaryOut.of(run.read(queries.summary, user_id=_me(run)))


@router.get("/quote")
def show_quote(run: RunDistributor, query: Annotated[QuoteQuery, Query()]) -> QuoteOut:
    """What so many serials of a plan cost the caller."""
    price = run.read(
        purchasing.quote, user_id=_me(run), plan_id=query.plan_id, quantity=query.quantity
    )
    return QuoteOut(
        list_fen=price.list_fen, discount_fen=price.discount_fen, amount_fen=price.amount_fen
    )


@router.post("/buy")
def buy(run: RunDistributor, guards: Guarded, body: Buy) -> PurchaseOut:
    """Buy serials at the caller's price; paid by wallet or credit they are in the answer."""
    guards.take(BOUGHT, str(_me(run)))
    order = run(purchasing.place, user_id=_me(run), **body.model_dump())
    return run.read(pages.purchase, order.id)


@router.post("/generate")
def generate(run: RunDistributor, guards: Guarded, body: Generate) -> PurchaseOut:
    """Make serials, where the super admin allows it, paid by wallet or credit."""
    guards.take(BOUGHT, str(_me(run)))
    order = run(purchasing.generate, user_id=_me(run), **body.model_dump())
    return run.read(pages.purchase, order.id)


@router.get("/purchase/{order_id}")
def show_purchase(run: RunDistributor, order_id: IdValue) -> PurchaseOut:
    """One purchase, and its serials once it is paid."""
    return run.read(pages.purchase, order_id)


@router.post("/purchase/{order_id}/credit")
def pay_by_credit(run: RunDistributor, order_id: IdValue) -> PurchaseOut:
    """Pay a pending purchase by credit."""
    run(purchasing.pay_by_credit, order_id=order_id)
    return run.read(pages.purchase, order_id)


@router.post("/repay")
def repay(run: RunDistributor, body: Repay) -> RepaidOut:
    """Pay credit back from the wallet."""
    run(purchases.repay, user_id=_me(run), fen=body.fen, request_key=body.request_key)
    return RepaidOut(owed_fen=-run.read(ledger.balance, ledger.credit(_me(run))))


@router.get("/serials")
def list_serials(run: RunDistributor, query: Annotated[MySerialsQuery, Query()]) -> SerialsOut:
    """The caller's serials, newest first; `code` is how a code begins, however it is typed."""
    return run.read(_serials, _me(run), query.model_dump())


@router.get("/serials/export", response_class=Response, responses=CSV)
def export_serials(run: RunDistributor, query: Annotated[MySerialsQuery, Query()]) -> Response:
    """The caller's serials of a filter as CSV."""
    filters = query.model_dump(exclude={"before", "limit"})

    def fetch(before: int | None, limit: int) -> tuple[list[Serial], int | None]:
        return run.read(
            serial_queries.serials,
            **filters,
            distributor_id=_me(run),
            before=before,
            limit=limit,
        )

    return csv_file("serials", SERIAL_COLUMNS, fetch)


def _serials(work: UnitOfWork, user_id: int, asked: dict[str, Any]) -> SerialsOut:
    found, next_before = serial_queries.serials(work, **asked, distributor_id=user_id)
    names = users.names_of(work, user_ids=[one.user_id for one in found if one.user_id])
    serials = [SerialOut.of(one, names) for one in found]
    for one in serials:
        one.allowed_actions = []  # revoking is for admins
    return SerialsOut(serials=serials, next_before=next_before)


@router.get("/customers", response_model=CustomersOut, responses=CSV)
def list_customers(run: RunDistributor, query: Annotated[NameQuery, Query()]) -> Any:
    """The caller's customers: who redeemed a serial of his last."""
    return customers_of(run, _me(run), query)


@router.get("/downloads", response_model=DownloadsOut, responses=CSV)
def list_downloads(run: RunDistributor, query: Annotated[TimedQuery, Query()]) -> Any:
    """Who of the caller's customers took which ACL, newest first."""
    return listed(
        query,
        lambda one: run.read(_downloads, _me(run), one.asked()),
        name="acl_downloads",
        rows="downloads",
        row=DownloadPart,
    )


def _downloads(work: UnitOfWork, user_id: int, asked: dict[str, Any]) -> DownloadsOut:
    rows, next_before = acl_queries.downloads(work, distributor_id=user_id, **asked)
    parts = [DownloadPart.model_validate(row) for row in rows]
    return DownloadsOut(downloads=parts, next_before=next_before)


@router.post("/applications")
def apply(run: RunDistributor, body: Apply) -> OneApplicationOut:
    """Ask for serials; an admin decides."""
    return run(_applied, _me(run), body)


def _applied(work: UnitOfWork, user_id: int, body: Apply) -> OneApplicationOut:
    made = applications.apply(work, user_id=user_id, **body.model_dump())
    return pages.application(work, made)


@router.get("/applications", response_model=ApplicationsOut, responses=CSV)
def list_applications(run: RunDistributor, query: Annotated[ApplicationsQuery, Query()]) -> Any:
    """The caller's applications, newest first."""
    return applications_found(run, query, _me(run))


@router.post("/applications/{application_id}/withdraw")
def withdraw(run: RunDistributor, application_id: IdValue) -> OneApplicationOut:
    """Take an application back, as long as nobody has decided."""
    return run(_withdrawn, application_id)


def _withdrawn(work: UnitOfWork, application_id: int) -> OneApplicationOut:
    return pages.application(work, applications.withdraw(work, application_id=application_id))


@router.get("/commissions", response_model=CommissionsOut, responses=CSV)
def list_commissions(run: RunDistributor, query: Annotated[TimedQuery, Query()]) -> Any:
    """What the caller earned by his customers' orders, newest first."""
    return commissions_of(run, _me(run), query)


@router.get("/statements", response_model=StatementsOut, responses=CSV)
def list_statements(run: RunDistributor, query: Annotated[TimedQuery, Query()]) -> Any:
    """The caller's months, newest first."""
    return statements_found(run, query, _me(run))


@router.get("/statements/{statement_id}")
def show_statement(run: RunDistributor, statement_id: IdValue) -> OneStatementOut:
    """One month of the caller."""
    return run.read(pages.statement, statement_id)


@router.get("/statements/{statement_id}/export", response_class=Response, responses=CSV)
def export_statement(run: RunDistributor, statement_id: IdValue) -> Response:
    """The lines of a month as CSV."""
    return statement_csv(run, statement_id)


@router.get("/statements/{statement_id}/print", response_class=Response, responses=HTML)
def print_statement(run: RunDistributor, statement_id: IdValue) -> Response:
    """A month on paper."""
    return page_of(run, statement_id)


def statement_csv(run: Edge, statement_id: int) -> Response:
    """Answer with the lines that a statement is made of."""
    month = run.read(settlement.get, statement_id).month

    def fetch(before: int | None, limit: int) -> tuple[list[Any], int | None]:
        return run.read(pages.lines_of_statement, statement_id, before, limit)

    return csv_file(f"statement-{month:%Y-%m}", COMMISSION_COLUMNS, fetch)
