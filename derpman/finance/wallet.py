"""A user's wallet: what it holds, what is given to it, and whether everything is settled."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from derpman.finance import ledger
from derpman.finance.errors import AmountRefused
from derpman.finance.events import WalletCredited
from derpman.finance.ledger import GIVEN, Holder, Move
from derpman.finance.models import AccountKind, EntryKind, JournalEntry, Order
from derpman.finance.states import OrderStatus
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.users import service as users

MOST_COMPENSATION_FEN = 1_000_000


@dataclass(frozen=True)
class Wallet:
    """What a user has, in fen."""

    cash_fen: int
    bonus_fen: int

    @property
    def total_fen(self) -> int:
        return self.cash_fen + self.bonus_fen


def of(work: UnitOfWork, user_id: int) -> Wallet:
    """Return what a user's wallet holds."""
    return Wallet(
        ledger.balance(work, ledger.cash(user_id)), ledger.balance(work, ledger.bonus(user_id))
    )


def compensate(
    work: UnitOfWork, *, user_id: int, fen: int, reason: str, request_key: str
) -> JournalEntry:
    """Give a user money to spend here; the same key gives it once."""
    if not 0 < fen <= MOST_COMPENSATION_FEN:
        raise AmountRefused(least=1, most=MOST_COMPENSATION_FEN)
    users.lock(work, user_id)
    key = f"compensation:{user_id}:{request_key}"
    booked = ledger.by_key(work, key)
    if booked is not None:
        return booked
    entry = ledger.post(
        work,
        kind=EntryKind.COMPENSATION,
        key=key,
        moves=[Move(GIVEN, ledger.bonus(user_id), fen)],
        user_id=user_id,
        note=reason,
    )
    work.emit(WalletCredited(entry_id=entry.id))
    work.wake(f"wallet:{user_id}")
    logs.record(
        work,
        action="wallet.compensate",
        object_type="user",
        object_id=user_id,
        after={"fen": fen, "reason": reason},
    )
    return entry


@dataclass(frozen=True)
class Unsettled:
    """What stands between a user and closing his account."""

    pending_orders: int
    undelivered_orders: int
    cash_fen: int
    bonus_fen: int
    payable_fen: int
    owed_fen: int
    """Of a distributor's credit, not paid yet."""

    @property
    def is_settled(self) -> bool:
        """Tell whether nothing is owed; a bonus is a gift and ends with the account."""
        return not (
            self.pending_orders
            or self.undelivered_orders
            or self.cash_fen
            or self.payable_fen
            or self.owed_fen
        )


def unsettled(work: UnitOfWork, *, user_id: int) -> Unsettled:
    """Return what of a user's money is not settled."""
    rows = work.session.execute(
        select(Order.status, func.count(Order.id))
        .where(Order.user_id == user_id, Order.status.in_((OrderStatus.PENDING, OrderStatus.PAID)))
        .group_by(Order.status)
    )
    counts = {status: count for status, count in rows}  # noqa: C416 # a row is no pair to the types
    wallet = of(work, user_id)
    return Unsettled(
        pending_orders=counts.get(OrderStatus.PENDING, 0),
        undelivered_orders=counts.get(OrderStatus.PAID, 0),
        cash_fen=wallet.cash_fen,
        bonus_fen=wallet.bonus_fen,
        payable_fen=ledger.balance(work, Holder(AccountKind.PAYABLE, user_id)),
        owed_fen=-ledger.balance(work, ledger.credit(user_id)),
    )
