"""Mails about orders and money, queued by the handlers of their events."""

from __future__ import annotations

from derpman.finance import ledger, wallet
from derpman.finance.models import EntryKind, Order, Receipt
from derpman.kit.money import yuan_text
from derpman.kit.work import UnitOfWork
from derpman.users import messages

QUIET = frozenset({EntryKind.REVERSAL})


def tell_credited(work: UnitOfWork, *, entry_id: int) -> None:
    """Tell a user that money came into his wallet, and why."""
    entry = ledger.get(work, entry_id)
    if entry.user_id is None or entry.kind in QUIET:
        return
    fen = sum(
        move.fen
        for move in ledger.moves_of(work, entry_id)
        if move.credit in (ledger.cash(entry.user_id), ledger.bonus(entry.user_id))
    )
    order = None if entry.order_id is None else work.session.get(Order, entry.order_id)
    params = {
        "why": entry.kind.value,
        "amount": yuan_text(fen),
        "balance": yuan_text(wallet.of(work, entry.user_id).total_fen),
        "order": "" if order is None else order.number,
        # What gateways and receipts are booked under tells a customer nothing.
        "reason": (entry.note or "") if entry.actor_id is not None and order is None else "",
    }
    if order is not None and entry.kind in {EntryKind.REFUND, EntryKind.GIVEN_BACK}:
        params["reason"] = entry.note or ""
    messages.mail(work, entry.user_id, "wallet_credited", params, once_key=f"wallet:{entry_id}")


def tell_refused(work: UnitOfWork, *, receipt_id: int) -> None:
    """Tell a customer that his proof of payment was not accepted, and why."""
    receipt = work.session.get_one(Receipt, receipt_id)
    order = work.session.get_one(Order, receipt.order_id)
    params = {
        "order": order.number,
        "amount": yuan_text(order.amount_fen),
        "reason": receipt.reason or "",
    }
    messages.mail(
        work, receipt.user_id, "receipt_refused", params, once_key=f"receipt:{receipt_id}"
    )
