from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError

from derpman.finance import ledger, wallet
from derpman.finance.errors import AlreadyBooked, NotEnoughMoney, NotReversible
from derpman.finance.ledger import DEFERRED, GIVEN, Holder, Move
from derpman.finance.models import Account, AccountKind, EntryKind, JournalEntry, Transfer
from derpman.kit.work import Edge, UnitOfWork
from derpman.wiring import System
from tests.conftest import Person
from tests.finance.conftest import Fill


def post(edge: Edge, key: str, *moves: Move, kind: EntryKind = EntryKind.COMPENSATION) -> int:
    return edge(lambda work: ledger.post(work, kind=kind, key=key, moves=moves).id)


def test_an_entry_moves_money_once(
    edge: Edge, carl: Person, balances: Callable[[], dict[str, int]]
):
    move = Move(GIVEN, ledger.bonus(carl.id), 500)
    post(edge, "a", move)
    with pytest.raises(AlreadyBooked):
        post(edge, "a", move)
    assert balances() == {"compensation": -500, f"bonus:{carl.id}": 500}


def test_a_wallet_is_never_negative(
    edge: Edge, carl: Person, balances: Callable[[], dict[str, int]]
):
    post(edge, "a", Move(GIVEN, ledger.bonus(carl.id), 500))
    with pytest.raises(NotEnoughMoney):
        post(edge, "b", Move(ledger.bonus(carl.id), DEFERRED, 501))
    post(edge, "c", Move(ledger.bonus(carl.id), DEFERRED, 500))
    assert balances() == {"compensation": -500, "deferred": 500}


def test_the_database_itself_refuses_a_negative_wallet(edge: Edge, system: System, carl: Person):
    post(edge, "a", Move(GIVEN, ledger.bonus(carl.id), 500))
    worse = update(Account).where(Account.kind == AccountKind.BONUS).values(balance_fen=-1)
    with system.sessions.writing() as session, pytest.raises(DBAPIError, match="not_negative"):
        session.execute(worse)


@pytest.mark.parametrize("table", [JournalEntry, Transfer])
def test_the_database_itself_refuses_to_change_or_remove_entries(
    edge: Edge, system: System, carl: Person, table: type
):
    post(edge, "a", Move(GIVEN, ledger.bonus(carl.id), 500))
    column = {"note": "x"} if table is JournalEntry else {"amount_fen": 1}
    for statement in (update(table).values(column), delete(table)):
        with (
            system.sessions.writing() as session,
            pytest.raises(DBAPIError, match="never changed or removed"),
        ):
            session.execute(statement)


def test_moves_of_nothing_are_left_out_and_backwards_is_a_bug(edge: Edge, carl: Person):
    to = ledger.bonus(carl.id)
    with pytest.raises(ValueError, match="moves something"):
        post(edge, "a", Move(GIVEN, to, 0))
    with pytest.raises(ValueError, match="backwards"):
        post(edge, "a", Move(GIVEN, to, -5))
    entry = post(edge, "a", Move(GIVEN, to, 5), Move(GIVEN, ledger.cash(carl.id), 0))
    assert edge.read(ledger.moves_of, entry) == [Move(GIVEN, to, 5)]


def test_a_reversal_undoes_an_entry_once_and_is_no_entry_to_reverse(
    edge: Edge, carl: Person, balances: Callable[[], dict[str, int]]
):
    entry = edge(wallet.compensate, user_id=carl.id, fen=500, reason="outage", request_key="one")
    back = edge(ledger.reverse, entry_id=entry.id, reason="wrong customer")
    assert back.reverses_id == entry.id
    assert balances() == {}
    with pytest.raises(AlreadyBooked):
        edge(ledger.reverse, entry_id=entry.id, reason="again")
    with pytest.raises(NotReversible):
        edge(ledger.reverse, entry_id=back.id, reason="back again")


def test_what_is_spent_cannot_be_reversed(edge: Edge, carl: Person):
    entry = edge(wallet.compensate, user_id=carl.id, fen=500, reason="outage", request_key="one")
    post(edge, "b", Move(ledger.bonus(carl.id), DEFERRED, 1), kind=EntryKind.ORDER_PAID)
    with pytest.raises(NotEnoughMoney):
        edge(ledger.reverse, entry_id=entry.id, reason="wrong customer")


def test_compensation_with_the_same_key_is_given_once(edge: Edge, carl: Person, eve: Person):
    for _ in range(2):
        edge(wallet.compensate, user_id=carl.id, fen=500, reason="outage", request_key="one")
        edge(wallet.compensate, user_id=eve.id, fen=500, reason="outage", request_key="one")
    assert edge.read(wallet.of, carl.id).total_fen == 500
    assert edge.read(wallet.of, eve.id).total_fen == 500


def test_a_statement_shows_each_movement_of_ones_own_money(
    edge: Edge, carl: Person, eve: Person, fill: Fill
):
    for fen in (1000, 2000, 3000):
        fill(carl, fen)
    fill(eve, 500)
    edge(wallet.compensate, user_id=carl.id, fen=7, reason="outage", request_key="one")
    lines, before = edge.read(ledger.statement, user_id=carl.id, before=None, limit=3)
    assert [moved for _, moved in lines] == [
        {AccountKind.BONUS: 7},
        {AccountKind.CASH: 3000},
        {AccountKind.CASH: 2000},
    ]
    lines, before = edge.read(ledger.statement, user_id=carl.id, before=before, limit=3)
    assert [moved for _, moved in lines] == [{AccountKind.CASH: 1000}]
    assert before is None
    assert edge.read(ledger.statement, user_id=10**6, before=None, limit=3) == ([], None)


def test_balances_of_our_own_accounts_are_sums(edge: Edge, carl: Person, fill: Fill):
    def read(work: UnitOfWork) -> int:
        return ledger.balance(work, Holder(AccountKind.MANUAL))

    assert edge.read(read) == 0
    fill(carl, 1000)
    fill(carl, 234)
    assert edge.read(read) == -1234
    assert edge.read(
        lambda work: list(
            work.session.scalars(select(Account.balance_fen).where(Account.user_id == 0))
        )
    ) == [0]
