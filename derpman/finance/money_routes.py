"""HTTP of gateways' notices, of the ways of paying, and of the owner's figures."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Query, Request, Response

from derpman.finance import channels, payments, statistics
from derpman.finance.errors import MethodNotOffered, NoticeRefused
from derpman.finance.gateways import MAX_NOTICE_BYTES, gateway_of
from derpman.finance.models import Method, PaymentChannel
from derpman.finance.money_schemas import (
    By,
    ChannelOut,
    ChannelsOut,
    OneChannelOut,
    RecentOut,
    SetAccount,
    SetAlipay,
    SetWeChat,
    Span,
    StatisticsOut,
    SumsListOut,
    SumsOut,
)
from derpman.finance.order_routes import addresses_of
from derpman.finance.statistics import Line
from derpman.kit.csvfile import CSV, csv_file
from derpman.kit.http import RunAdmin, RunPublic, RunSuperAdmin, RunSuperAdminFresh
from derpman.kit.money import yuan
from derpman.kit.work import Edge, UnitOfWork

router = APIRouter(prefix="/api/finance", tags=["finance"])
log = structlog.get_logger(__name__)
KEPT_HEADERS = re.compile(r"wechatpay-.*|content-type|user-agent")
ORDER_NUMBER = re.compile(rb"out_trade_no=([0-9A-Z]{10,32})")
GATEWAY_PATHS = {"alipay": Method.ALIPAY, "wechat": Method.WECHAT}
COLUMNS = tuple(SumsOut.model_fields)


async def raw_body(request: Request) -> bytes:
    """Return what was sent, byte for byte: that is what is signed."""
    return await request.body()


RawBody = Annotated[bytes, Depends(raw_body)]


@router.post("/notify/alipay", response_class=Response, max_body_size=MAX_NOTICE_BYTES)
def notify_alipay(request: Request, run: RunPublic, body: RawBody) -> Response:
    """Alipay tells of a payment. `success` is answered after it is booked."""
    _take(request, run, Method.ALIPAY, body)
    return Response("success", media_type="text/plain")


@router.post("/notify/wechat", response_class=Response, max_body_size=MAX_NOTICE_BYTES)
def notify_wechat(request: Request, run: RunPublic, body: RawBody) -> Response:
    """WeChat Pay tells of a payment. An empty answer is given after it is booked."""
    _take(request, run, Method.WECHAT, body)
    return Response(status_code=204)


def _take(request: Request, run: Edge, channel: Method, body: bytes) -> None:
    headers = {name.lower(): value for name, value in request.headers.items()}
    kept = {name: value[:1024] for name, value in headers.items() if KEPT_HEADERS.fullmatch(name)}
    raw = {"headers": json.dumps(kept), "body": body.decode("utf-8", "backslashreplace")}
    credentials = run.read(channels.credentials_of, channel)
    if credentials is None:
        raise MethodNotOffered
    gateway = gateway_of(channel, credentials, addresses_of(request))
    try:
        told = gateway.read(headers, body, run.clock())
    except NoticeRefused as refused:
        log.warning("notice refused", channel=channel, why=refused.params.get("why"))
        if named := ORDER_NUMBER.search(body):
            why = str(refused.params.get("why"))
            run(payments.keep_refused, channel=channel, number=named[1].decode(), why=why, **raw)
        raise
    verdict = run(payments.take_notice, channel=channel, told=told, **raw)
    if verdict not in payments.GOOD:
        raise NoticeRefused(why=verdict)


@router.get("/channels")
def list_channels(request: Request, run: RunSuperAdmin) -> ChannelsOut:
    """The ways of paying as they are set; secrets are never shown."""
    found = run.read(channels.all_of)
    return ChannelsOut(channels=[_channel(request, one) for one in found])


@router.post("/channels/alipay")
def set_alipay(request: Request, run: RunSuperAdminFresh, body: SetAlipay) -> OneChannelOut:
    """Set Alipay's credentials and switch it on or off."""
    given = None if body.credentials is None else body.credentials.model_dump()
    return _set_gateway(request, run, Method.ALIPAY, body.version, body.is_enabled, given)


@router.post("/channels/wechat")
def set_wechat(request: Request, run: RunSuperAdminFresh, body: SetWeChat) -> OneChannelOut:
    """Set WeChat Pay's credentials and switch it on or off."""
    given = None if body.credentials is None else body.credentials.model_dump()
    return _set_gateway(request, run, Method.WECHAT, body.version, body.is_enabled, given)


@router.post("/channels/{method}")
def set_account(
    request: Request, run: RunSuperAdminFresh, method: Method, body: SetAccount
) -> OneChannelOut:
    """Set the receiving account that is shown for transfers."""
    channel = run(channels.set_account, method=method, **body.model_dump())
    return OneChannelOut(channel=_channel(request, channel))


def _set_gateway(
    request: Request,
    run: Edge,
    method: Method,
    version: int,
    is_enabled: bool,
    credentials: dict[str, Any] | None,
) -> OneChannelOut:
    if credentials is not None:
        gateway_of(method, credentials, addresses_of(request))  # or it says what is wrong
    channel = run(
        channels.set_credentials,
        method=method,
        version=version,
        is_enabled=is_enabled,
        credentials=credentials,
    )
    return OneChannelOut(channel=_channel(request, channel))


def _channel(request: Request, channel: PaymentChannel) -> ChannelOut:
    is_gateway = channel.method in GATEWAY_PATHS.values()
    notify_url = addresses_of(request).notify_url(channel.method) if is_gateway else None
    return ChannelOut.of(channel, notify_url)


@router.get("/statistics")
def show_statistics(run: RunAdmin, query: Annotated[Span, Query()]) -> StatisticsOut:
    """Money received and earned, wallets, and how many of each plan were bought."""
    found = run.read(statistics.overview, first=query.first, last=query.last)
    total, month = found.total, found.month
    return StatisticsOut(
        total_revenue=yuan(total.received_fen),
        total_revenue_fen=total.received_fen,
        month_revenue=yuan(month.received_fen),
        month_revenue_fen=month.received_fen,
        span_revenue=yuan(found.span.received_fen),
        span_revenue_fen=found.span.received_fen,
        total_earned=yuan(total.earned_fen),
        total_earned_fen=total.earned_fen,
        month_earned=yuan(month.earned_fen),
        month_earned_fen=month.earned_fen,
        deferred=yuan(total.deferred_fen),
        deferred_fen=total.deferred_fen,
        prepaid_balance=yuan(total.cash_fen),
        prepaid_balance_fen=total.cash_fen,
        bonus_balance=yuan(total.bonus_fen),
        bonus_balance_fen=total.bonus_fen,
        total_orders=total.orders,
        first=found.first,
        last=found.last,
        plans=[SumsOut.of(line) for line in found.by_plan],
    )


@router.get("/statistics/recent")
def show_recent(run: RunAdmin) -> RecentOut:
    """How it goes: today and the last seven days beside the week before."""
    found = run.read(statistics.recent)
    return RecentOut(
        today=SumsOut.of(found.today),
        week_ago=SumsOut.of(found.week_ago),
        week=SumsOut.of(found.week),
        week_before=SumsOut.of(found.week_before),
    )


@router.get("/statistics/lines")
def list_sums(run: RunAdmin, query: Annotated[By, Query()]) -> SumsListOut:
    """The sums of each day, plan or distributor in a span."""
    return SumsListOut(lines=[SumsOut.of(line) for line in run.read(_lines, query)])


@router.get("/statistics/export", response_class=Response, responses=CSV)
def export_sums(run: RunAdmin, query: Annotated[By, Query()]) -> Response:
    """The same as CSV."""

    def fetch(_before: int | None, _limit: int) -> tuple[list[SumsOut], int | None]:
        return [SumsOut.of(line) for line in run.read(_lines, query)], None

    return csv_file(f"money-by-{query.by}", COLUMNS, fetch)


def _lines(work: UnitOfWork, query: By) -> list[Line]:
    first, last = statistics.span(work, first=query.first, last=query.last)
    if query.by == "day":
        return statistics.by_day(work, first=first, last=last)
    if query.by == "plan":
        return statistics.by_plan(work, first=first, last=last)
    return statistics.by_distributor(work, first=first, last=last)
