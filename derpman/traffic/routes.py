"""HTTP of traffic."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from derpman.kit.csvfile import CSV, csv_file
from derpman.kit.http import RunAdmin, RunUser
from derpman.kit.types import IdValue
from derpman.kit.work import UnitOfWork
from derpman.rentals import service as rentals
from derpman.servers import allowances
from derpman.servers import service as servers
from derpman.servers.errors import ServerNotFound
from derpman.traffic import queries, service
from derpman.traffic.allowances import NEARLY_PERCENT
from derpman.traffic.calendar import month_of
from derpman.traffic.schemas import (
    Decide,
    GapPart,
    Grant,
    OverviewOut,
    OverviewPart,
    PeriodOut,
    PeriodPart,
    QuarantinedOut,
    QuarantineOut,
    QuarantinePart,
    QuarantineQuery,
    RelayPart,
    SentPart,
    SeriesQuery,
    ServerSentPart,
    ServerTrafficOut,
    ServerTrafficPart,
    TopUserPart,
    TrafficOut,
    TrafficPart,
)
from derpman.users import service as users

router = APIRouter(prefix="/api/traffic", tags=["traffic"])
TOP_USERS = 20
Series = Annotated[SeriesQuery, Query()]


@router.get("/mine")
def show_mine(run: RunUser, query: Series) -> TrafficOut:
    """What the caller's relays sent, what he may still send, and how fast they send now."""
    return TrafficOut(traffic=run.read(_of_user, run.actor.user_id or 0, query))


@router.get("/mine/csv", response_class=StreamingResponse, responses=CSV)
def export_mine(run: RunUser, query: Series) -> StreamingResponse:
    """The caller's hours, days or months as CSV."""
    rows = run.read(_series, run.actor.user_id or 0, query)
    return csv_file("traffic", ["begins_at", "sent_bytes"], lambda _before, _limit: (rows, None))


@router.get("/user/{user_id}")
def show_user(run: RunAdmin, user_id: IdValue, query: Series) -> TrafficOut:
    """The same of any user."""
    return TrafficOut(traffic=run.read(_of_user, user_id, query))


@router.get("/user/{user_id}/csv", response_class=StreamingResponse, responses=CSV)
def export_user(run: RunAdmin, user_id: IdValue, query: Series) -> StreamingResponse:
    """A user's hours, days or months as CSV."""
    rows = run.read(_series, user_id, query)
    return csv_file("traffic", ["begins_at", "sent_bytes"], lambda _before, _limit: (rows, None))


@router.get("/server/{server_id}")
def show_server(run: RunAdmin, server_id: IdValue, query: Series) -> ServerTrafficOut:
    """What a server sent in all and this month, what remains, and who sent most."""
    return ServerTrafficOut(traffic=run.read(_of_server, server_id, query))


@router.get("/server/{server_id}/csv", response_class=StreamingResponse, responses=CSV)
def export_server(run: RunAdmin, server_id: IdValue, query: Series) -> StreamingResponse:
    """A server's hours, days or months as CSV."""
    rows = run.read(_server_series, server_id, query)
    columns = ["begins_at", "nic_bytes", "relay_bytes"]
    return csv_file("server-traffic", columns, lambda _before, _limit: (rows, None))


@router.get("/overview")
def show_overview(run: RunAdmin, query: Series) -> OverviewOut:
    """All servers together."""
    return OverviewOut(overview=run.read(_overview, query))


@router.post("/grant")
def grant(run: RunAdmin, body: Grant) -> PeriodOut:
    """Give a customer more for the period that runs; his relays go on at once."""
    period = run(service.grant, user_id=body.user_id, granted_bytes=body.bytes, reason=body.reason)
    return PeriodOut(period=PeriodPart.model_validate(period))


@router.get("/quarantine")
def list_quarantine(run: RunAdmin, query: Annotated[QuarantineQuery, Query()]) -> QuarantinedOut:
    """Counts that no line could have carried: not billed until somebody decides."""
    rows, next_before = run.read(queries.quarantined, **query.model_dump())
    return QuarantinedOut(
        quarantine=[QuarantinePart.model_validate(row) for row in rows], next_before=next_before
    )


@router.post("/quarantine/{quarantine_id}")
def decide(run: RunAdmin, quarantine_id: IdValue, body: Decide) -> QuarantineOut:
    """Bill such a count, or dismiss it for good."""
    held = run(service.decide, quarantine_id=quarantine_id, is_billed=body.is_billed)
    return QuarantineOut(quarantine=QuarantinePart.model_validate(held))


def _of_user(work: UnitOfWork, user_id: int, query: SeriesQuery) -> TrafficPart:
    users.get(work, user_id)
    rental = rentals.open_rental(work, user_id)
    period = queries.period_of_rental(work, rental)
    relays = [] if rental is None else queries.relays_of(work, rental_id=rental.id)
    return TrafficPart(
        user_id=user_id,
        period=None if period is None else PeriodPart.model_validate(period),
        runs_out_at=None if period is None else queries.run_out(work, period),
        rate_bytes_per_second=sum(relay.rate_bytes_per_second for relay in relays),
        relays=[RelayPart.model_validate(relay) for relay in relays],
        series=_series(work, user_id, query),
        gaps=[GapPart.model_validate(gap) for gap in queries.gaps_of(work, user_id=user_id)],
        history=[
            PeriodPart.model_validate(one) for one in queries.periods_of(work, user_id=user_id)
        ],
    )


def _series(work: UnitOfWork, user_id: int, query: SeriesQuery) -> list[SentPart]:
    users.get(work, user_id)
    since = query.step.first_of(work.now, query.span)
    found = queries.series(work, step=query.step, since=since, user_id=user_id)
    return [SentPart.model_validate(one) for one in found]


def _server_series(
    work: UnitOfWork, server_id: int | None, query: SeriesQuery
) -> list[ServerSentPart]:
    if server_id is not None:
        servers.get(work, server_id)
    since = query.step.first_of(work.now, query.span)
    found = queries.server_series(work, step=query.step, since=since, server_id=server_id)
    return [ServerSentPart.model_validate(one) for one in found]


def _of_server(work: UnitOfWork, server_id: int, query: SeriesQuery) -> ServerTrafficPart:
    server = allowances.allowances(work).get(server_id)
    if server is None:
        raise ServerNotFound
    contact = servers.contacts(work, server_ids=[server_id]).get(server_id)
    allowance = server.monthly_allowance_bytes
    since = work.now - queries.DAY
    top = queries.top_users(work, server_id=server_id, since=since, limit=TOP_USERS)
    names = users.names_of(work, user_ids=[one.user_id for one in top])
    return ServerTrafficPart(
        server_id=server_id,
        traffic_bytes=server.traffic_bytes,
        month_traffic_bytes=server.month_traffic_bytes,
        month_begins_at=month_of(work.now, server.billing_day),
        monthly_allowance_bytes=allowance,
        month_remaining_bytes=None
        if allowance is None
        else max(0, allowance - server.month_traffic_bytes),
        billing_day=server.billing_day,
        margin_percent=server.margin_percent,
        at_margin=server.at_margin,
        is_halted=server.is_halted,
        rate_bytes_per_second=0 if contact is None else sum(contact.rates.values()),
        series=_server_series(work, server_id, query),
        top_users=[
            TopUserPart(
                user_id=one.user_id,
                username=names.get(one.user_id, ""),
                sent_bytes=one.sent_bytes,
            )
            for one in top
        ],
    )


def _overview(work: UnitOfWork, query: SeriesQuery) -> OverviewPart:
    known = allowances.allowances(work)
    contacts = servers.contacts(work, server_ids=known)
    near = [
        one
        for one in known.values()
        if one.monthly_allowance_bytes
        and one.month_traffic_bytes * 100 >= one.monthly_allowance_bytes * NEARLY_PERCENT
    ]
    return OverviewPart(
        servers=len(known),
        traffic_bytes=sum(one.traffic_bytes for one in known.values()),
        month_traffic_bytes=sum(one.month_traffic_bytes for one in known.values()),
        rate_bytes_per_second=sum(sum(one.rates.values()) for one in contacts.values()),
        customers_used_up=queries.periods_over(work),
        servers_halted=sum(one.is_halted for one in known.values()),
        servers_near_allowance=len(near),
        series=_server_series(work, None, query),
    )
