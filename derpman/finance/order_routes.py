"""HTTP of orders, receipts and wallets: for who buys, and for the admins who help."""

from __future__ import annotations

from typing import Annotated, Any

import segno
from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile

from derpman.finance import asking, channels, images, ledger, orders, queries, receipts, settling
from derpman.finance import wallet as wallets
from derpman.finance.errors import OrderNotFound
from derpman.finance.gateways import Addresses
from derpman.finance.ledger import Holder
from derpman.finance.models import GATEWAYS, TRANSFERS, AccountKind, Method, Order
from derpman.finance.order_schemas import (
    AccountOut,
    Because,
    Cancel,
    EntryOut,
    MethodsOut,
    MovementOut,
    OneOrderOut,
    OneReceiptOut,
    OrderOut,
    OrdersOut,
    OrdersQuery,
    Pay,
    PaymentOut,
    PlaceOrder,
    ReceiptOut,
    ReceiptsOut,
    ReceiptsQuery,
    Refund,
    StatementOut,
    StepOut,
    TraceOut,
    WalletOut,
)
from derpman.kit.csvfile import CSV, csv_file, listed
from derpman.kit.http import Guarded, RunAdmin, RunAdminFresh, RunSuperAdminFresh, RunUser
from derpman.kit.paging import ExportQuery
from derpman.kit.throttle import Limit
from derpman.kit.types import IdValue, Line
from derpman.kit.work import Edge, UnitOfWork
from derpman.users import service as users

router = APIRouter(prefix="/api/finance", tags=["finance"])
PLACED = Limit("orders", 60, 3600)
UPLOADS = Limit("receipts", 20, 3600)
UPLOAD_BYTES = images.MAX_UPLOAD_BYTES + 65_536
INERT = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, no-store",
}
Files = dict[int | str, dict[str, Any]]
SVG: Files = {200: {"content": {"image/svg+xml": {}}}}
JPEG: Files = {200: {"content": {images.MEDIA_TYPE: {}}}}
COLUMNS = (
    *("id", "number", "user_id", "username", "kind", "plan", "status", "method", "amount"),
    *("refunded", "list_fen", "amount_fen", "cash_fen", "bonus_fen", "refunded_fen"),
    *("distributor_id", "created_at", "paid_at", "done_at", "closed_at", "reason"),
)
"""Of a CSV file."""


def addresses_of(request: Request) -> Addresses:
    """Return where the gateways are, and where they find us."""
    settings = request.app.state.system.settings
    return Addresses(settings.alipay_url, settings.wechatpay_url, settings.public_url)


@router.get("/methods")
def list_methods(run: RunUser) -> MethodsOut:
    """The ways of paying that are switched on, and the accounts to transfer to."""
    return run.read(_methods)


@router.post("/orders")
def place_order(request: Request, run: RunUser, guards: Guarded, body: PlaceOrder) -> OneOrderOut:
    """Order a plan, or money for the wallet; by wallet it is paid at once."""
    user_id = run.actor.user_id or 0
    guards.take(PLACED, str(user_id))
    order = run(orders.place, user_id=user_id, **body.model_dump())
    return _shown(request, run, order.id)


@router.get("/orders")
def list_orders(run: RunUser, query: Annotated[OrdersQuery, Query()]) -> OrdersOut:
    """The caller's orders, newest first; everybody's for staff."""
    return run.read(_page, query)


@router.get("/orders/export", response_class=Response, responses=CSV)
def export_orders(run: RunAdmin, query: Annotated[OrdersQuery, Query()]) -> Response:
    """The orders of a filter as CSV."""

    def fetch(before: int | None, limit: int) -> tuple[list[OrderOut], int | None]:
        asked = query.model_copy(update={"before": before, "limit": limit})
        found = run.read(_page, asked)
        return found.orders, found.next_before

    return csv_file("orders", COLUMNS, fetch)


@router.get("/orders/{order_id}")
def show_order(request: Request, run: RunUser, order_id: IdValue) -> OneOrderOut:
    """One order, with what to scan or open to pay it."""
    return _shown(request, run, order_id)


@router.post("/orders/{order_id}/pay")
def pay_order(request: Request, run: RunUser, order_id: IdValue, body: Pay) -> OneOrderOut:
    """Pay a pending order, or begin to, perhaps in another way than before."""
    run(_own, order_id)
    run(orders.pay, order_id=order_id, method=body.method)
    return _shown(request, run, order_id)


@router.post("/orders/{order_id}/cancel")
def cancel_order(request: Request, run: RunUser, order_id: IdValue, body: Cancel) -> OneOrderOut:
    """Give up an order that is not paid."""
    run(orders.cancel, order_id=order_id, reason=body.reason)
    return _shown(request, run, order_id)


@router.get("/orders/{order_id}/qr", response_class=Response, responses=SVG)
def show_qr(run: RunUser, order_id: IdValue, method: Method) -> Response:
    """The QR code that pays an order, or that of the account to transfer to."""
    text = run.read(_qr_text, order_id, method)
    drawn = segno.make_qr(text).svg_inline(scale=6, border=4, light="white")
    drawn = drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return Response(drawn, media_type="image/svg+xml", headers=INERT)


@router.post("/orders/{order_id}/receipt", max_body_size=UPLOAD_BYTES)
def upload_receipt(
    run: RunUser,
    guards: Guarded,
    order_id: IdValue,
    file: Annotated[UploadFile, File()],
    method: Annotated[Method, Form()],
    note: Annotated[Line | None, Form()] = None,
) -> OneReceiptOut:
    """Upload a picture that proves a transfer; an admin looks at it."""
    guards.take(UPLOADS, str(run.actor.user_id))
    run.read(_own, order_id)
    picture = images.picture_of(file.file.read(images.MAX_UPLOAD_BYTES + 1))
    receipt = run(receipts.submit, order_id=order_id, method=method, picture=picture, note=note)
    return OneReceiptOut(receipt=run.read(_receipt, receipt.id))


@router.get("/orders/{order_id}/trace")
def trace_order(run: RunAdmin, order_id: IdValue) -> TraceOut:
    """Why an order is not paid, or how it was: everything that happened to it."""
    return run.read(_traced, order_id)


@router.post("/orders/{order_id}/complete")
def complete_order(
    request: Request, run: RunAdmin, order_id: IdValue, body: Because
) -> OneOrderOut:
    """Mark a paid order as completed, because it was delivered by hand."""
    run(settling.deliver, order_id=order_id, action="complete", reason=body.reason)
    return _shown(request, run, order_id)


@router.post("/orders/{order_id}/renew")
def renew_order(request: Request, run: RunAdmin, order_id: IdValue, body: Because) -> OneOrderOut:
    """Mark a paid order as renewed, because it was delivered by hand."""
    run(settling.deliver, order_id=order_id, action="renew", reason=body.reason)
    return _shown(request, run, order_id)


@router.post("/orders/{order_id}/refund")
def refund_order(
    request: Request, run: RunAdminFresh, order_id: IdValue, body: Refund
) -> OneOrderOut:
    """Give money of an order back to the wallet, all of it or a part."""
    run(settling.refund, order_id=order_id, **body.model_dump())
    return _shown(request, run, order_id)


@router.get("/receipts", response_model=ReceiptsOut, responses=CSV)
def list_receipts(run: RunAdmin, query: Annotated[ReceiptsQuery, Query()]) -> Any:
    """Proofs of transfers, newest first: the review queue with `status=waiting`."""
    return listed(
        query,
        lambda one: run.read(_receipts, one),
        name="receipts",
        rows="receipts",
        row=ReceiptOut,
    )


@router.get("/receipts/{receipt_id}/image", response_class=Response, responses=JPEG)
def show_receipt(run: RunUser, receipt_id: IdValue) -> Response:
    """The picture of a receipt, for who uploaded it and for admins."""
    data = run.read(receipts.image_of, receipt_id)
    return Response(data, media_type=images.MEDIA_TYPE, headers=INERT)


@router.post("/receipts/{receipt_id}/confirm")
def confirm_receipt(run: RunAdmin, receipt_id: IdValue) -> OneReceiptOut:
    """The money is there: the order is paid."""
    run(receipts.confirm, receipt_id=receipt_id)
    return OneReceiptOut(receipt=run.read(_receipt, receipt_id))


@router.post("/receipts/{receipt_id}/refuse")
def refuse_receipt(run: RunAdmin, receipt_id: IdValue, body: Because) -> OneReceiptOut:
    """The money is not there, or the proof proves nothing; the customer is told why."""
    run(receipts.refuse, receipt_id=receipt_id, reason=body.reason)
    return OneReceiptOut(receipt=run.read(_receipt, receipt_id))


@router.get("/wallet")
def show_wallet(run: RunUser) -> WalletOut:
    """What the caller's wallet holds."""
    return run.read(_wallet, run.actor.user_id or 0)


@router.get("/wallet/statement", response_model=StatementOut, responses=CSV)
def show_statement(run: RunUser, query: Annotated[ExportQuery, Query()]) -> Any:
    """Every movement of the caller's money, newest first."""
    return _movements(run, run.actor.user_id or 0, query)


@router.get("/wallets/{user_id}")
def show_wallet_of(run: RunAdmin, user_id: IdValue) -> WalletOut:
    """What a user's wallet holds."""
    return run.read(_wallet, user_id)


@router.get("/wallets/{user_id}/statement", response_model=StatementOut, responses=CSV)
def show_statement_of(
    run: RunAdmin, user_id: IdValue, query: Annotated[ExportQuery, Query()]
) -> Any:
    """Every movement of a user's money, newest first."""
    return _movements(run, user_id, query)


def _movements(run: Edge, user_id: int, query: ExportQuery) -> Any:
    return listed(
        query,
        lambda one: run.read(_statement, user_id, one),
        name="statement",
        rows="movements",
        row=MovementOut,
    )


@router.post("/entries/{entry_id}/reverse")
def reverse_entry(run: RunSuperAdminFresh, entry_id: IdValue, body: Because) -> EntryOut:
    """Book the opposite of a compensation or top-up that was a mistake."""
    return EntryOut(entry_id=run(ledger.reverse, entry_id=entry_id, reason=body.reason).id)


def _methods(work: UnitOfWork) -> MethodsOut:
    offered = channels.offered(work)
    shown = [channels.require(work, method) for method in offered if method in TRANSFERS]
    return MethodsOut(methods=offered, accounts=[AccountOut.model_validate(one) for one in shown])


def _own(work: UnitOfWork, order_id: int) -> Order:
    """Return the caller's own order: staff pay nobody else's."""
    order = orders.get(work, order_id)
    if order.user_id != work.actor.user_id:
        raise OrderNotFound
    return order


def _page(work: UnitOfWork, query: OrdersQuery) -> OrdersOut:
    filters = query.model_dump()
    if not work.actor.is_staff:
        filters["user_id"] = work.actor.user_id or 0
    found, next_before = queries.orders_page(work, **filters)
    usernames = users.names_of(work, user_ids=[one.user_id for one in found])
    plans = queries.plan_names(work, found)
    is_staff = work.actor.is_staff
    return OrdersOut(
        orders=[OrderOut.of(one, usernames, plans, is_staff=is_staff) for one in found],
        next_before=next_before,
    )


def _one(work: UnitOfWork, order: Order) -> OrderOut:
    return OrderOut.of(
        order,
        users.names_of(work, user_ids=[order.user_id]),
        queries.plan_names(work, [order]),
        is_staff=work.actor.is_staff,
    )


def _shown(request: Request, run: Edge, order_id: int) -> OneOrderOut:
    """Return an order with what pays it; a page's address is signed here and asks nobody."""

    def read(work: UnitOfWork) -> tuple[OneOrderOut, list[tuple[int, PaymentOut]]]:
        order = orders.get(work, order_id)
        payments = queries.payments_of(work, order.id)
        return (
            OneOrderOut(order=_one(work, order)),
            [(one.id, PaymentOut.of(one, None)) for one in payments],
        )

    shown, payments = run.read(read)
    addresses = addresses_of(request)
    back = f"{addresses.public_url.rstrip('/')}/orders/{order_id}"
    for payment_id, one in payments:
        one.page_url = asking.page_of(run, addresses, payment_id=payment_id, return_url=back)
    shown.payments = [one for _, one in payments]
    return shown


def _qr_text(work: UnitOfWork, order_id: int, method: Method) -> str:
    order = orders.get(work, order_id)
    text = None
    if method in GATEWAYS:
        payment = orders.payment_of(work, order.id, method)
        text = None if payment is None else payment.qr_text
    elif method in TRANSFERS:
        text = channels.require(work, method).qr_text
    if text is None:
        raise OrderNotFound
    return text


def _traced(work: UnitOfWork, order_id: int) -> TraceOut:
    order = orders.get(work, order_id)
    verdict, steps = queries.trace(work, order)
    return TraceOut(
        order=_one(work, order),
        verdict=verdict,
        steps=[StepOut.model_validate(step) for step in steps],
    )


def _receipts(work: UnitOfWork, query: ReceiptsQuery) -> ReceiptsOut:
    found, next_before = receipts.receipts(work, **query.asked())
    same = receipts.seen_before(work, found)
    usernames = users.names_of(work, user_ids=[one.user_id for one in found])
    of = queries.orders_by_id(work, [one.order_id for one in found])
    return ReceiptsOut(
        receipts=[ReceiptOut.of(one, of[one.order_id], usernames, same[one.id]) for one in found],
        next_before=next_before,
    )


def _receipt(work: UnitOfWork, receipt_id: int) -> ReceiptOut:
    receipt = receipts.get(work, receipt_id)
    usernames = users.names_of(work, user_ids=[receipt.user_id])
    same = receipts.seen_before(work, [receipt])[receipt.id] if work.actor.is_staff else 0
    return ReceiptOut.of(receipt, orders.get(work, receipt.order_id), usernames, same)


def _wallet(work: UnitOfWork, user_id: int) -> WalletOut:
    users.get(work, user_id)
    wallet = wallets.of(work, user_id)
    payable = ledger.balance(work, Holder(AccountKind.PAYABLE, user_id))
    return WalletOut(cash_fen=wallet.cash_fen, bonus_fen=wallet.bonus_fen, payable_fen=payable)


def _statement(work: UnitOfWork, user_id: int, query: ExportQuery) -> StatementOut:
    lines, next_before = ledger.statement(
        work, user_id=user_id, before=query.before, limit=query.limit
    )
    of = queries.orders_by_id(work, [entry.order_id for entry, _ in lines if entry.order_id])
    return StatementOut(
        movements=[
            MovementOut(
                entry_id=entry.id,
                kind=entry.kind,
                at=entry.created_at,
                order_id=entry.order_id,
                order_number=of[entry.order_id].number if entry.order_id else None,
                reason=entry.note,
                cash_fen=moved.get(AccountKind.CASH, 0),
                bonus_fen=moved.get(AccountKind.BONUS, 0),
                payable_fen=moved.get(AccountKind.PAYABLE, 0),
            )
            for entry, moved in lines
        ],
        next_before=next_before,
    )
