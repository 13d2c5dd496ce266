"""What a customer pays himself earns his distributor a share; a refund takes it back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from derpman.distribution import commissions, pages, settlement
from derpman.distribution.errors import NotADistributor
from derpman.distribution.models import Commission, Statement
from derpman.distribution.states import Level
from derpman.finance import settling, wallet
from derpman.finance.models import Method, Order
from derpman.kit.work import Edge, Role, UnitOfWork
from derpman.users import service as users
from tests.conftest import MovableClock, Person, QueuedMail
from tests.distribution.conftest import Grade, Purchase
from tests.finance.conftest import Buy, Fill

Balances = Callable[[], dict[str, int]]


@pytest.fixture(autouse=True)
def his_customer(edge: Edge, rita: Person, carl: Person, fill: Fill) -> None:
    edge(users.join_distributor, user_id=carl.id, distributor_id=rita.id)
    fill(carl, 100_000)


def deliver(edge: Edge, order: Order) -> None:
    edge(settling.deliver, order_id=order.id, action="complete")


def lines(edge: Edge) -> list[int]:
    return edge.read(
        lambda work: list(work.session.scalars(select(Commission.fen).order_by(Commission.id)))
    )


def settle(edge: Edge, person: Person) -> list[Statement]:
    return edge(settlement.settle, user_id=person.id)


def test_a_share_of_what_was_paid_in_money_is_earned_once(
    edge: Edge,
    rita: Person,
    carl: Person,
    grade: Grade,
    buy: Buy,
    follow: Callable[..., None],
    balances: Balances,
):
    grade(rita, Level.WHITE_GOLD)
    edge(wallet.compensate, user_id=carl.id, fen=900, reason="gift", request_key="gift")
    order = buy(carl)
    assert order.distributor_id == rita.id
    follow("distribution.")
    assert lines(edge) == [], "it was not delivered"
    deliver(edge, order)
    follow("distribution.")
    edge(commissions.follow, order_id=order.id)
    assert lines(edge) == [450]  # 15 % of 39.00 less the 9.00 that were given
    assert balances()[f"payable:{rita.id}"] == 450
    assert balances()["commission"] == -450


def test_the_rate_is_that_of_the_payment_however_late_the_message(
    edge: Edge, clock: MovableClock, rita: Person, carl: Person, grade: Grade, buy: Buy
):
    order = buy(carl)
    clock.advance(hours=1)
    grade(rita, Level.PLATINUM)
    deliver(edge, order)
    edge(commissions.follow, order_id=order.id)
    assert lines(edge) == [390]
    later = buy(carl)
    deliver(edge, later)
    edge(commissions.follow, order_id=later.id)
    assert lines(edge) == [390, 780]


def test_refunds_take_back_to_the_fen(
    edge: Edge, rita: Person, carl: Person, grade: Grade, buy: Buy, balances: Balances
):
    grade(rita)
    order = buy(carl, days=3)  # 6.00
    deliver(edge, order)
    edge(commissions.follow, order_id=order.id)
    for number, fen in enumerate((7, 133, 1, None)):
        edge(settling.refund, order_id=order.id, fen=fen, reason="test", request_key=f"r{number}")
        edge(commissions.follow, order_id=order.id)
        edge(commissions.follow, order_id=order.id)
    assert lines(edge)[0] == 120
    assert sum(lines(edge)) == 0
    assert f"payable:{rita.id}" not in balances()


def test_what_could_not_be_delivered_earns_nothing(
    edge: Edge, carl: Person, buy: Buy, follow: Callable[..., None]
):
    order = buy(carl)
    edge(settling.give_up, order_id=order.id, reason="no servers")
    follow("distribution.")
    assert lines(edge) == []


def test_a_serial_that_was_discounted_earns_nothing_more(
    edge: Edge, rita: Person, fill: Fill, purchase: Purchase, follow: Callable[..., None]
):
    fill(rita, 10_000)
    purchase(rita)
    follow("distribution.")
    assert lines(edge) == []


def test_who_is_no_distributor_any_more_earns_nothing(
    edge: Edge, rita: Person, carl: Person, buy: Buy
):
    edge(users.set_role, user_id=rita.id, role=Role.USER)
    order = buy(carl)
    deliver(edge, order)
    edge(commissions.follow, order_id=order.id)
    assert lines(edge) == []


def test_what_who_was_a_distributor_earned_can_still_be_looked_at(
    edge: Edge, rita: Person, carl: Person, buy: Buy
):
    earn(edge, buy, carl)
    edge(users.set_role, user_id=rita.id, role=Role.USER)
    found = edge.read(pages.distributor, rita.id)
    assert found.distributor.sums.open_fen == found.distributor.sums.commission_fen == 390
    assert found.distributor.sums.settled_fen == 0
    with pytest.raises(NotADistributor):
        edge.read(pages.distributor, carl.id)


def earn(edge: Edge, buy: Buy, person: Person) -> Order:
    order = buy(person)
    deliver(edge, order)
    edge(commissions.follow, order_id=order.id)
    return order


def test_each_month_is_settled_once_to_credit_first_and_then_to_the_wallet(
    edge: Edge,
    clock: MovableClock,
    rita: Person,
    carl: Person,
    grade: Grade,
    buy: Buy,
    purchase: Purchase,
    balances: Balances,
    follow: Callable[..., None],
    mails: Callable[[str], list[QueuedMail]],
):
    grade(rita, credit_limit_fen=700)
    purchase(rita, Method.CREDIT, days=3)  # 6.00 less 20 %: owes 4.80
    for _ in range(3):
        earn(edge, buy, carl)  # 7.80 each
    assert settle(edge, rita) == [], "the month is not over"
    assert edge.read(settlement.due, limit=10) == []
    clock.advance(days=31)
    earn(edge, buy, carl)
    assert list(edge.read(settlement.due, limit=10)) == [rita.id]
    (statement,) = settle(edge, rita)
    assert settle(edge, rita) == []
    assert (statement.opening_fen, statement.earned_fen, statement.taken_back_fen) == (0, 2340, 0)
    assert (statement.to_credit_fen, statement.to_wallet_fen) == (480, 1860)
    assert statement.closing_fen == 0
    held = balances()
    assert held[f"cash:{rita.id}"] == 1860
    assert held[f"payable:{rita.id}"] == 780, "of the month that runs"
    follow("distribution.")
    assert [one.template for one in mails(rita.email)].count("statement_made") == 1


def test_missed_months_are_settled_one_by_one(
    edge: Edge, clock: MovableClock, rita: Person, carl: Person, buy: Buy
):
    for _ in range(3):
        earn(edge, buy, carl)
        clock.advance(days=31)
    made = settle(edge, rita)
    assert [one.earned_fen for one in made] == [390, 390, 390]
    assert len({one.month for one in made}) == 3


def test_what_is_taken_back_after_the_settlement_is_carried_until_it_is_earned(
    edge: Edge, clock: MovableClock, rita: Person, carl: Person, buy: Buy, balances: Balances
):
    first = earn(edge, buy, carl)
    clock.advance(days=31)
    settle(edge, rita)
    edge(settling.refund, order_id=first.id, fen=None, reason="test", request_key="all")
    edge(commissions.follow, order_id=first.id)
    clock.advance(days=31)
    (negative,) = settle(edge, rita)
    assert (negative.taken_back_fen, negative.to_wallet_fen, negative.closing_fen) == (390, 0, -390)
    earn(edge, buy, carl)
    earn(edge, buy, carl)
    clock.advance(days=31)
    (positive,) = settle(edge, rita)
    assert (positive.opening_fen, positive.earned_fen) == (-390, 780)
    assert (positive.to_wallet_fen, positive.closing_fen) == (390, 0)
    held = balances()
    assert held[f"cash:{rita.id}"] == 780
    assert f"payable:{rita.id}" not in held


def test_what_was_booked_late_belongs_to_the_next_month(
    edge: Edge, clock: MovableClock, rita: Person, carl: Person, buy: Buy
):
    earn(edge, buy, carl)
    clock.advance(days=31)
    (statement,) = settle(edge, rita)

    def one_day_late(work: UnitOfWork) -> None:
        line = work.session.scalars(select(Commission)).one()
        line.statement_id = None  # as if it had been committed a moment after

    edge(one_day_late)
    assert settle(edge, rita) == []
    clock.advance(days=31)
    (late,) = settle(edge, rita)
    assert late.month > statement.month
    assert late.earned_fen == 390
