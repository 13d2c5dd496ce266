"""What commissions should be and what is booked is compared, and a difference is an alert."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from derpman.alerts.models import SystemAlert
from derpman.distribution import checking, commissions, settlement
from derpman.distribution.models import Commission
from derpman.finance import settling
from derpman.finance.models import Account, AccountKind
from derpman.kit.work import Edge, Role, UnitOfWork
from derpman.users import service as users
from tests.conftest import MovableClock, Person
from tests.finance.conftest import Buy, Fill


@pytest.fixture(autouse=True)
def his_customer(edge: Edge, rita: Person, carl: Person, fill: Fill) -> None:
    edge(users.join_distributor, user_id=carl.id, distributor_id=rita.id)
    fill(carl, 100_000)


def check(edge: Edge) -> tuple[int, int]:
    """How many orders and payables differ, looked through one by one."""
    found: list[int] = []
    for look in (checking.check_orders, checking.check_payables):
        after, wrong = 0, 0
        while after is not None:
            after, here = edge(look, after=after, limit=1)
            wrong += here
        found.append(wrong)
    return found[0], found[1]


def alerted(edge: Edge) -> set[str | None]:
    return edge.read(lambda work: set(work.session.scalars(select(SystemAlert.open_key))))


def test_commissions_as_they_should_be_are_right(
    edge: Edge, clock: MovableClock, rita: Person, carl: Person, buy: Buy
):
    earned, refunded = buy(carl), buy(carl)
    for order in (earned, refunded):
        edge(settling.deliver, order_id=order.id, action="complete")
        edge(commissions.follow, order_id=order.id)
    edge(settling.refund, order_id=refunded.id, fen=None, reason="test", request_key="all")
    edge(commissions.follow, order_id=refunded.id)
    never = buy(carl)
    edge(settling.give_up, order_id=never.id, reason="no servers")
    clock.advance(hours=1)
    assert check(edge) == (0, 0)
    clock.advance(days=31)
    edge(settlement.settle, user_id=rita.id)
    assert check(edge) == (0, 0)
    assert alerted(edge) == set()


def test_a_commission_that_was_never_booked_is_found(
    edge: Edge, clock: MovableClock, carl: Person, buy: Buy
):
    order = buy(carl)
    edge(settling.deliver, order_id=order.id, action="complete")
    assert check(edge) == (0, 0), "its message may be on its way"
    clock.advance(minutes=11)
    assert check(edge) == (1, 0)
    assert alerted(edge) == {f"ledger_differs:commission:{order.number}"}


def test_what_he_was_when_it_was_delivered_counts(
    edge: Edge, clock: MovableClock, rita: Person, carl: Person, buy: Buy
):
    edge(users.set_role, user_id=rita.id, role=Role.USER)
    order = buy(carl)
    edge(settling.deliver, order_id=order.id, action="complete")
    edge(commissions.follow, order_id=order.id)
    clock.advance(minutes=11)
    edge(users.set_role, user_id=rita.id, role=Role.DISTRIBUTOR)
    assert check(edge) == (0, 0), "he was none then"
    edge(settling.deliver, order_id=buy(carl).id, action="complete")
    clock.advance(minutes=11)
    edge(users.set_role, user_id=rita.id, role=Role.USER)
    assert check(edge) == (1, 0), "he was one, and nothing is booked"


def test_a_refund_that_took_nothing_back_is_found(
    edge: Edge, clock: MovableClock, carl: Person, buy: Buy
):
    order = buy(carl)
    edge(settling.deliver, order_id=order.id, action="complete")
    edge(commissions.follow, order_id=order.id)
    clock.advance(hours=1)
    edge(settling.refund, order_id=order.id, fen=None, reason="test", request_key="all")
    assert check(edge) == (0, 0), "its message may be on its way"
    clock.advance(minutes=11)
    assert check(edge) == (1, 0)


@pytest.mark.parametrize("table", [Commission, Account])
def test_a_payable_that_is_not_what_commissions_say_is_found(
    edge: Edge,
    clock: MovableClock,
    rita: Person,
    carl: Person,
    buy: Buy,
    table: type[Commission] | type[Account],
):
    order = buy(carl)
    edge(settling.deliver, order_id=order.id, action="complete")
    edge(commissions.follow, order_id=order.id)
    clock.advance(days=2)

    def spoil(work: UnitOfWork) -> None:
        if table is Commission:
            work.session.execute(update(Commission).values(fen=Commission.fen + 1))
        else:
            his = Account.kind == AccountKind.PAYABLE
            work.session.execute(
                update(Account).where(his).values(balance_fen=Account.balance_fen - 1)
            )

    edge(spoil)
    assert check(edge) == (0, 1)
    assert alerted(edge) == {f"ledger_differs:payable:{rita.id}"}
