"""The ledger: every movement of money is an entry of transfers, and nothing is ever changed.

A transfer takes from one account and gives to another, so that an entry cannot but sum to zero.
The database refuses to change or remove entries and transfers (migration 0002), a second entry
with the same key, and a wallet below zero. Who moves money of a wallet has locked its user before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from sqlalchemy import func, or_, select, update

from derpman.finance.errors import AlreadyBooked, EntryNotFound, NotEnoughMoney, NotReversible
from derpman.finance.models import (
    NEVER_NEGATIVE,
    OWNED,
    Account,
    AccountKind,
    EntryKind,
    JournalEntry,
    Order,
    Transfer,
)
from derpman.kit.db import changed
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs

BEIJING = timezone(timedelta(hours=8))
REVERSIBLE = frozenset({EntryKind.COMPENSATION, EntryKind.TOP_UP, EntryKind.LATE_MONEY})
"""The rest is undone by what an order can do: a refund knows what was earned."""


@dataclass(frozen=True)
class Holder:
    """An account by its name: ours, or one of a user."""

    kind: AccountKind
    user_id: int = 0


@dataclass(frozen=True)
class Move:
    """Fen from one account to another."""

    debit: Holder
    credit: Holder
    fen: int


def day_of(instant: datetime) -> date:
    """Return the day in Beijing on which an instant is booked."""
    return instant.astimezone(BEIJING).date()


def cash(user_id: int) -> Holder:
    return Holder(AccountKind.CASH, user_id)


def credit(user_id: int) -> Holder:
    """Return the account of what a distributor owes: zero or less."""
    return Holder(AccountKind.CREDIT, user_id)


def bonus(user_id: int) -> Holder:
    return Holder(AccountKind.BONUS, user_id)


DEFERRED = Holder(AccountKind.DEFERRED)
REVENUE = Holder(AccountKind.REVENUE)
REFUNDS = Holder(AccountKind.REFUNDS)
GIVEN = Holder(AccountKind.COMPENSATION)


def post(
    work: UnitOfWork,
    *,
    kind: EntryKind,
    key: str,
    moves: Sequence[Move],
    user_id: int | None = None,
    order: Order | None = None,
    plan_id: int | None = None,
    distributor_id: int | None = None,
    note: str | None = None,
    reverses_id: int | None = None,
) -> JournalEntry:
    """Book an entry; moves of nothing are left out. AlreadyBooked when its key is known.

    NotEnoughMoney when a wallet would fall below zero.
    """
    moves = [move for move in moves if move.fen != 0]
    if not moves or any(move.fen < 0 for move in moves):
        raise ValueError("an entry moves something, and nothing backwards")
    if is_booked(work, key):
        raise AlreadyBooked
    entry = JournalEntry(
        kind=kind,
        booking_key=key,
        order_id=None if order is None else order.id,
        user_id=user_id,
        plan_id=plan_id if order is None else order.plan_id,
        distributor_id=distributor_id if order is None else order.distributor_id,
        reverses_id=reverses_id,
        booked_on=day_of(work.now),
        note=note,
        actor_id=work.actor.user_id,
        created_at=work.now,
    )
    work.session.add(entry)
    work.session.flush()
    accounts = _accounts(work, [one for move in moves for one in (move.debit, move.credit)])
    work.session.add_all(
        Transfer(
            entry_id=entry.id,
            debit_id=accounts[move.debit],
            credit_id=accounts[move.credit],
            amount_fen=move.fen,
        )
        for move in moves
    )
    work.session.flush()
    _carry(work, moves, accounts)
    return entry


def _accounts(work: UnitOfWork, holders: Iterable[Holder]) -> dict[Holder, int]:
    """Return accounts' ids; one that is not there is made (the unique key catches a race)."""
    wanted = set(holders)
    rows = work.session.execute(
        select(Account.id, Account.kind, Account.user_id).where(
            Account.kind.in_({one.kind for one in wanted}),
            Account.user_id.in_({one.user_id for one in wanted}),
        )
    )
    found = {Holder(row.kind, row.user_id): row.id for row in rows}
    for holder in sorted(wanted - found.keys(), key=lambda one: (one.kind, one.user_id)):
        account = Account(kind=holder.kind, user_id=holder.user_id, balance_fen=0)
        work.session.add(account)
        work.session.flush()
        found[holder] = account.id
    return found


def _carry(work: UnitOfWork, moves: Sequence[Move], accounts: Mapping[Holder, int]) -> None:
    """Bring the balances of owned accounts up to date, in the order of their ids."""
    sums: dict[Holder, int] = {}
    for move in moves:
        sums[move.debit] = sums.get(move.debit, 0) - move.fen
        sums[move.credit] = sums.get(move.credit, 0) + move.fen
    for holder in sorted(sums, key=lambda one: accounts[one]):
        if holder.kind not in OWNED or sums[holder] == 0:
            continue
        carried = update(Account).where(Account.id == accounts[holder])
        if holder.kind in NEVER_NEGATIVE:
            carried = carried.where(Account.balance_fen + sums[holder] >= 0)
        carried = carried.values(balance_fen=Account.balance_fen + sums[holder])
        if changed(work.session, carried.execution_options(synchronize_session=False)) == 0:
            raise NotEnoughMoney


def is_booked(work: UnitOfWork, key: str) -> bool:
    """Tell whether there is an entry of this key."""
    found = select(JournalEntry.id).where(JournalEntry.booking_key == key)
    return work.session.scalar(found) is not None


def by_key(work: UnitOfWork, key: str) -> JournalEntry | None:
    """Return the entry of a key."""
    return work.session.scalar(select(JournalEntry).where(JournalEntry.booking_key == key))


def get(work: UnitOfWork, entry_id: int) -> JournalEntry:
    """Return an entry."""
    entry = work.session.get(JournalEntry, entry_id)
    if entry is None:
        raise EntryNotFound
    return entry


def balance(work: UnitOfWork, holder: Holder) -> int:
    """Return what an account holds: kept beside an owned one, summed up for one of ours."""
    account = work.session.execute(
        select(Account.id, Account.balance_fen).where(
            Account.kind == holder.kind, Account.user_id == holder.user_id
        )
    ).one_or_none()
    if account is None:
        return 0
    if holder.kind in OWNED:
        return account.balance_fen
    return derived(work, [account.id])[account.id]


def derived(work: UnitOfWork, account_ids: Sequence[int]) -> dict[int, int]:
    """Return balances as the sums of transfers, whatever is kept beside them."""
    sums = dict.fromkeys(account_ids, 0)
    for column, sign in ((Transfer.credit_id, 1), (Transfer.debit_id, -1)):
        rows = work.session.execute(
            select(column, func.sum(Transfer.amount_fen))
            .where(column.in_(account_ids))
            .group_by(column)
        )
        for account_id, total in rows:
            sums[account_id] += sign * int(total)
    return sums


def lock_accounts(work: UnitOfWork, account_ids: Sequence[int]) -> dict[int, int]:
    """Have nothing booked on accounts until the transaction ends; return their kept balances."""
    rows = work.session.execute(
        select(Account.id, Account.balance_fen)
        .where(Account.id.in_(account_ids))
        .order_by(Account.id)
        .with_for_update()
    )
    return {row.id: row.balance_fen for row in rows}


def moves_of(work: UnitOfWork, entry_id: int) -> list[Move]:
    """Return what an entry moved."""
    transfers = work.session.scalars(
        select(Transfer).where(Transfer.entry_id == entry_id).order_by(Transfer.id)
    ).all()
    ids = {one.debit_id for one in transfers} | {one.credit_id for one in transfers}
    holders = {
        account.id: Holder(account.kind, account.user_id)
        for account in work.session.scalars(select(Account).where(Account.id.in_(ids)))
    }
    return [
        Move(holders[one.debit_id], holders[one.credit_id], one.amount_fen) for one in transfers
    ]


def reverse(work: UnitOfWork, *, entry_id: int, reason: str) -> JournalEntry:
    """Book the opposite of an entry, once: the only correction there is."""
    wrong = get(work, entry_id)
    if wrong.kind not in REVERSIBLE:
        raise NotReversible
    moves = [Move(move.credit, move.debit, move.fen) for move in moves_of(work, entry_id)]
    entry = post(
        work,
        kind=EntryKind.REVERSAL,
        key=f"reversal:{entry_id}",
        moves=moves,
        user_id=wrong.user_id,
        note=reason,
        reverses_id=entry_id,
    )
    logs.record(
        work,
        action="ledger.reverse",
        object_type="journal_entry",
        object_id=entry_id,
        after={"entry_id": entry.id, "reason": reason},
    )
    return entry


def statement(
    work: UnitOfWork, *, user_id: int, before: int | None, limit: int
) -> tuple[list[tuple[JournalEntry, dict[AccountKind, int]]], int | None]:
    """Return a page of the entries that moved a user's money, the newest first, and what moved."""
    accounts = {
        account.id: account.kind
        for account in work.session.scalars(select(Account).where(Account.user_id == user_id))
    }
    if not accounts:
        return [], None
    ids: set[int] = set()
    for column in (Transfer.debit_id, Transfer.credit_id):
        found = select(Transfer.entry_id).where(column.in_(accounts)).distinct()
        if before is not None:
            found = found.where(Transfer.entry_id < before)
        ids.update(work.session.scalars(found.order_by(Transfer.entry_id.desc()).limit(limit + 1)))
    shown = sorted(ids, reverse=True)[: limit + 1]
    entries = work.session.scalars(
        select(JournalEntry)
        .where(JournalEntry.id.in_(shown[:limit]))
        .order_by(JournalEntry.id.desc())
    ).all()
    sums: dict[int, dict[AccountKind, int]] = {entry.id: {} for entry in entries}
    transfers = work.session.scalars(
        select(Transfer).where(
            Transfer.entry_id.in_(sums),
            or_(Transfer.debit_id.in_(accounts), Transfer.credit_id.in_(accounts)),
        )
    )
    for one in transfers:
        for account_id, sign in ((one.credit_id, 1), (one.debit_id, -1)):
            if account_id in accounts:
                moved = sums[one.entry_id]
                kind = accounts[account_id]
                moved[kind] = moved.get(kind, 0) + sign * one.amount_fen
    next_before = shown[limit - 1] if len(shown) > limit else None
    return [(entry, sums[entry.id]) for entry in entries], next_before
