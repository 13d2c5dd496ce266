"""Proofs of transfers: uploaded by customers, looked at by admins, confirmed or refused."""

from __future__ import annotations

from sqlalchemy import func, select

from derpman.finance import channels, orders, settling
from derpman.finance.errors import (
    MethodNotOffered,
    OrderNotPayable,
    ReceiptNotFound,
    ReceiptWaiting,
    SuperAdminConfirms,
)
from derpman.finance.events import ReceiptRefused
from derpman.finance.images import Picture
from derpman.finance.models import (
    TRANSFERS,
    AccountKind,
    Method,
    Order,
    OrderKind,
    Receipt,
    ReceiptImage,
)
from derpman.finance.states import RECEIPT_TRANSITIONS, OrderStatus, ReceiptStatus
from derpman.kit.paging import page
from derpman.kit.states import next_state
from derpman.kit.types import MAX_ID
from derpman.kit.work import Role, UnitOfWork
from derpman.logs import service as logs


def submit(
    work: UnitOfWork, *, order_id: int, method: Method, picture: Picture, note: str | None
) -> Receipt:
    """Keep a customer's proof for the admins. From now on the order waits for them."""
    order = orders.lock(work, order_id)
    if method not in TRANSFERS:
        raise MethodNotOffered
    if order.status is not OrderStatus.PENDING:
        raise OrderNotPayable(state=order.status)
    if is_waiting(work, order_id):
        raise ReceiptWaiting
    channels.require(work, method)
    order.method = method
    order.closes_at = max(order.closes_at, work.now + orders.TRANSFER_WAITS)
    receipt = Receipt(
        order_id=order.id,
        open_order_id=order.id,
        user_id=order.user_id,
        status=ReceiptStatus.WAITING,
        note=note,
        digest=picture.digest,
        created_at=work.now,
    )
    work.session.add(receipt)
    work.session.flush()
    work.session.add(ReceiptImage(receipt_id=receipt.id, data=picture.data))
    logs.record_user(
        work, user_id=order.user_id, action="receipt.submit", detail={"order": order.number}
    )
    return receipt


def is_waiting(work: UnitOfWork, order_id: int) -> bool:
    """Tell whether a proof of an order waits for an admin: as long as it does it is not closed."""
    waiting = select(Receipt.id).where(Receipt.open_order_id == order_id)
    return work.session.scalar(waiting) is not None


def get(work: UnitOfWork, receipt_id: int) -> Receipt:
    """Return a receipt that the actor may see: his own, or any for staff."""
    receipt = work.session.get(Receipt, receipt_id) if 0 < receipt_id <= MAX_ID else None
    if receipt is None or not (work.actor.is_staff or receipt.user_id == work.actor.user_id):
        raise ReceiptNotFound
    return receipt


def image_of(work: UnitOfWork, receipt_id: int) -> bytes:
    """Return the picture of a receipt that the actor may see."""
    return work.session.get_one(ReceiptImage, get(work, receipt_id).id).data


def receipts(
    work: UnitOfWork,
    *,
    status: ReceiptStatus | None = None,
    order_id: int | None = None,
    before: int | None = None,
    limit: int,
    sort: str | None = None,
) -> tuple[list[Receipt], int | None]:
    """Return a page of receipts, the newest first."""
    found = select(Receipt)
    if status is not None:
        found = found.where(Receipt.status == status)
    if order_id is not None:
        found = found.where(Receipt.order_id == order_id)
    return page(work.session, found, Receipt.id, before, limit, sort)


def waiting(work: UnitOfWork) -> int:
    """Return how many receipts wait for an admin."""
    found = select(func.count(Receipt.id)).where(Receipt.status == ReceiptStatus.WAITING)
    return work.session.scalar(found) or 0


def seen_before(work: UnitOfWork, found: list[Receipt]) -> dict[int, int]:
    """Return for receipts' ids how many others show the very same picture."""
    counts = work.session.execute(
        select(Receipt.digest, func.count(Receipt.id))
        .where(Receipt.digest.in_({one.digest for one in found}))
        .group_by(Receipt.digest)
    )
    by_digest = {row[0]: row[1] for row in counts}
    return {one.id: by_digest.get(one.digest, 1) - 1 for one in found}


def confirm(work: UnitOfWork, *, receipt_id: int) -> Receipt:
    """The money is there: the order is paid, or the wallet has it when the order is closed."""
    receipt, order = _decided(work, receipt_id, "confirm")
    if order.kind is OrderKind.SERIALS and work.actor.role not in (
        Role.SUPER_ADMIN,
        Role.SYSTEM,
    ):
        raise SuperAdminConfirms
    settling.receive(
        work,
        order_id=order.id,
        account=AccountKind.MANUAL,
        key=f"receipt:{receipt.id}",
        note=f"receipt {receipt.id}",
    )
    _record(work, receipt, order, "confirm", None)
    return receipt


def refuse(work: UnitOfWork, *, receipt_id: int, reason: str) -> Receipt:
    """The money is not there, or the proof proves nothing: the customer is told why."""
    receipt, order = _decided(work, receipt_id, "refuse")
    receipt.reason = reason
    if order.status is OrderStatus.PENDING:
        order.closes_at = max(order.closes_at, work.now + orders.TRANSFER_WAITS)
    work.session.flush()
    work.emit(ReceiptRefused(receipt_id=receipt.id))
    _record(work, receipt, order, "refuse", reason)
    return receipt


def _decided(work: UnitOfWork, receipt_id: int, action: str) -> tuple[Receipt, Order]:
    order = orders.lock(work, get(work, receipt_id).order_id)
    receipt = work.session.get_one(Receipt, receipt_id, populate_existing=True)
    receipt.status = next_state(RECEIPT_TRANSITIONS, receipt.status, action)
    receipt.open_order_id = None
    receipt.decided_at, receipt.decided_by = work.now, work.actor.user_id
    work.session.flush()
    return receipt, order


def _record(
    work: UnitOfWork, receipt: Receipt, order: Order, action: str, reason: str | None
) -> None:
    logs.record(
        work,
        action=f"receipt.{action}",
        object_type="order",
        object_id=order.id,
        after={
            "receipt": receipt.id,
            "number": order.number,
            "amount_fen": order.amount_fen,
            "reason": reason,
        },
    )
