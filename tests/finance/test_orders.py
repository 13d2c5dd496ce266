from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from derpman.finance import orders, service, settling, wallet
from derpman.finance.errors import (
    AmountRefused,
    KeyUsed,
    MethodNotOffered,
    NotEnoughMoney,
    OrderNotFound,
    OrderNotPayable,
    TooManyOrders,
    TooMuchRefunded,
)
from derpman.finance.models import AccountKind, Method, Order, OrderKind
from derpman.finance.states import OrderStatus
from derpman.kit.outbox import Delivery
from derpman.kit.states import IllegalTransition
from derpman.kit.work import Edge
from derpman.rentals import service as rentals
from derpman.users.errors import Suspended
from tests.conftest import MovableClock, Person
from tests.finance.conftest import Buy, Fill

Balances = Callable[[], dict[str, int]]
PRICE = 3900


def money_came(edge: Edge, order: Order, key: str = "alipay:1") -> bool:
    return edge(
        settling.receive, order_id=order.id, account=AccountKind.ALIPAY, key=key, note="trade"
    )


def test_an_order_is_paid_by_wallet_at_once_bonus_first(
    edge: Edge, carl: Person, fill: Fill, buy: Buy, balances: Balances
):
    fill(carl, 10_000)
    edge(wallet.compensate, user_id=carl.id, fen=900, reason="outage", request_key="one")
    order = buy(carl)
    assert (order.status, order.bonus_fen, order.cash_fen) == (OrderStatus.PAID, 900, 3000)
    assert balances() == {
        "manual": -10_000,
        "compensation": -900,
        f"cash:{carl.id}": 7000,
        "deferred": PRICE,
    }


def test_too_little_in_the_wallet_leaves_no_order(edge: Edge, carl: Person, fill: Fill, buy: Buy):
    fill(carl, PRICE - 1)
    with pytest.raises(NotEnoughMoney):
        buy(carl)
    count = select(func.count(Order.id)).where(Order.kind == OrderKind.RENTAL)
    assert edge.read(lambda work: work.session.scalar(count)) == 0


def test_the_same_key_is_the_same_order(
    edge: Edge, carl: Person, eve: Person, fill: Fill, buy: Buy
):
    fill(carl, 10_000)
    fill(eve, 10_000)
    first = buy(carl, key="mine")
    assert buy(carl, key="mine").id == first.id
    assert buy(eve, key="mine").id != first.id
    assert edge.read(wallet.of, carl.id).cash_fen == 10_000 - PRICE
    with pytest.raises(KeyUsed):
        buy(carl, key="mine", days=3)


def test_what_is_not_offered_cannot_be_chosen(carl: Person, buy: Buy, transfers_on: None):
    with pytest.raises(MethodNotOffered):
        buy(carl, Method.WECHAT_TRANSFER)
    with pytest.raises(MethodNotOffered):
        buy(carl, Method.ALIPAY)
    with pytest.raises(MethodNotOffered):
        buy(carl, Method.NONE)
    assert buy(carl, Method.ALIPAY_TRANSFER).status is OrderStatus.PENDING


def test_unpaid_orders_are_limited(carl: Person, buy: Buy, transfers_on: None):
    for _ in range(orders.MAX_PENDING):
        buy(carl, Method.ALIPAY_TRANSFER)
    with pytest.raises(TooManyOrders):
        buy(carl, Method.ALIPAY_TRANSFER)


@pytest.mark.parametrize("fen", [0, 99, -5, 10_000_001])
def test_top_ups_have_bounds(edge: Edge, carl: Person, transfers_on: None, fen: int):
    with pytest.raises(AmountRefused):
        edge(
            orders.place,
            user_id=carl.id,
            request_key="k",
            method=Method.ALIPAY_TRANSFER,
            kind=OrderKind.TOP_UP,
            amount_fen=fen,
        )


def test_a_wallet_does_not_fill_itself(edge: Edge, carl: Person, fill: Fill):
    fill(carl, 1000)
    with pytest.raises(MethodNotOffered):
        edge(
            orders.place,
            user_id=carl.id,
            request_key="k",
            method=Method.WALLET,
            kind=OrderKind.TOP_UP,
            amount_fen=500,
        )


def test_a_suspended_customer_orders_nothing(edge: Edge, carl: Person, fill: Fill, buy: Buy):
    fill(carl, 10_000)
    edge(rentals.suspend_user, user_id=carl.id, reason="abuse")
    with pytest.raises(Suspended):
        buy(carl)


def test_money_from_outside_pays_and_counts_once(
    edge: Edge, carl: Person, buy: Buy, transfers_on: None, balances: Balances
):
    order = buy(carl, Method.ALIPAY_TRANSFER)
    assert money_came(edge, order) is True
    assert money_came(edge, order) is False
    assert edge.read(orders.get, order.id).status is OrderStatus.PAID
    assert balances() == {"alipay": -PRICE, "deferred": PRICE}
    handlers = edge.read(lambda work: list(work.session.scalars(select(Delivery.handler))))
    assert handlers.count("rentals.fulfil_order") == 1


@pytest.mark.parametrize("close", ["cancel", "expire", "paid"])
def test_money_for_an_order_that_does_not_wait_goes_to_the_wallet(
    edge: Edge,
    clock: MovableClock,
    carl: Person,
    buy: Buy,
    transfers_on: None,
    balances: Balances,
    close: str,
):
    order = buy(carl, Method.ALIPAY_TRANSFER)
    if close == "cancel":
        edge(orders.cancel, order_id=order.id)
    elif close == "expire":
        clock.advance(hours=24)
        edge(orders.expire, order_id=order.id)
    else:
        money_came(edge, order, "wechat:1")
    status = edge.read(orders.get, order.id).status
    assert money_came(edge, order) is True
    assert money_came(edge, order) is False
    assert edge.read(orders.get, order.id).status is status
    assert balances()[f"cash:{carl.id}"] == PRICE


def test_an_order_expires_in_its_time_only(
    edge: Edge, clock: MovableClock, carl: Person, buy: Buy, transfers_on: None
):
    order = buy(carl, Method.ALIPAY_TRANSFER)
    clock.advance(hours=23, minutes=59)
    edge(orders.expire, order_id=order.id)
    assert edge.read(orders.get, order.id).status is OrderStatus.PENDING
    clock.advance(minutes=1)
    edge(orders.expire, order_id=order.id)
    assert edge.read(orders.get, order.id).status is OrderStatus.EXPIRED
    with pytest.raises(OrderNotPayable):
        edge(orders.pay, order_id=order.id, method=Method.WALLET)
    with pytest.raises(IllegalTransition):
        edge(orders.cancel, order_id=order.id)


def test_a_pending_order_can_be_paid_in_another_way(edge: Edge, carl: Person, buy: Buy, fill: Fill):
    order = buy(carl, Method.ALIPAY_TRANSFER)
    fill(carl, PRICE)
    paid = edge(orders.pay, order_id=order.id, method=Method.WALLET)
    assert (paid.status, paid.method) == (OrderStatus.PAID, Method.WALLET)


def test_a_free_plan_costs_nothing(edge: Edge, carl: Person, buy: Buy, balances: Balances):
    plan = edge.read(service.plan_of_days, 3)
    edge(service.update_plan, plan_id=plan.id, version=plan.version, price_fen=0)
    order = buy(carl, days=3)
    assert (order.status, order.method) == (OrderStatus.PAID, Method.NONE)
    assert balances() == {}


def test_nobody_sees_or_touches_anothers_order(
    edge_of: Callable[..., Edge], carl: Person, eve: Person, buy: Buy, transfers_on: None
):
    order = buy(carl, Method.ALIPAY_TRANSFER)
    stranger = edge_of(eve.actor)
    with pytest.raises(OrderNotFound):
        stranger.read(orders.get, order.id)
    with pytest.raises(OrderNotFound):
        stranger(orders.cancel, order_id=order.id)
    with pytest.raises(OrderNotFound):
        stranger(orders.pay, order_id=order.id, method=Method.WALLET)


def test_what_cannot_be_delivered_is_given_back_as_it_was_paid(
    edge: Edge, carl: Person, fill: Fill, buy: Buy, balances: Balances
):
    fill(carl, PRICE)
    edge(wallet.compensate, user_id=carl.id, fen=900, reason="outage", request_key="one")
    before = balances()
    order = buy(carl)
    edge(settling.give_up, order_id=order.id, reason="no servers")
    assert edge.read(orders.get, order.id).status is OrderStatus.REFUNDED
    assert balances() == before
    with pytest.raises(IllegalTransition):
        edge(settling.give_up, order_id=order.id, reason="again")


def test_refunds_in_parts_add_up_and_no_more(
    edge: Edge, carl: Person, fill: Fill, buy: Buy, balances: Balances
):
    fill(carl, 3000)
    edge(wallet.compensate, user_id=carl.id, fen=900, reason="outage", request_key="one")
    order = buy(carl)
    edge(settling.deliver, order_id=order.id, action="complete")

    def refund(fen: int | None, key: str) -> Order:
        return edge(settling.refund, order_id=order.id, fen=fen, reason="asked", request_key=key)

    assert refund(1000, "a").status is OrderStatus.COMPLETED
    assert refund(1000, "a").refunded_fen == 1000
    assert balances()[f"cash:{carl.id}"] == 1000
    with pytest.raises(TooMuchRefunded):
        refund(PRICE, "b")
    with pytest.raises(TooMuchRefunded):
        refund(0, "b")
    assert refund(None, "c").status is OrderStatus.REFUNDED
    assert edge.read(wallet.of, carl.id) == wallet.Wallet(cash_fen=3000, bonus_fen=900)
    assert "deferred" not in balances()
    with pytest.raises(IllegalTransition):
        refund(1, "d")


def test_top_ups_and_unpaid_orders_are_not_refunded(edge: Edge, carl: Person, fill: Fill, buy: Buy):
    fill(carl, 1000)
    pending = buy(carl, Method.ALIPAY_TRANSFER)
    for order_id in edge.read(lambda work: list(work.session.scalars(select(Order.id)))):
        with pytest.raises(IllegalTransition):
            edge(settling.refund, order_id=order_id, fen=1, reason="asked", request_key="a")
    assert edge.read(orders.get, pending.id).status is OrderStatus.PENDING


def test_what_is_not_settled_is_named(edge: Edge, carl: Person, fill: Fill, buy: Buy):
    assert edge.read(wallet.unsettled, user_id=carl.id).is_settled
    fill(carl, PRICE + 5)
    buy(carl, Method.ALIPAY_TRANSFER)
    buy(carl)
    open_matters = edge.read(wallet.unsettled, user_id=carl.id)
    assert open_matters == wallet.Unsettled(
        pending_orders=1, undelivered_orders=1, cash_fen=5, bonus_fen=0, payable_fen=0, owed_fen=0
    )
    assert not open_matters.is_settled
