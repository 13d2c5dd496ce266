"""A distributor buys at his price, in every way, and has his serials once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from derpman.distribution import purchasing
from derpman.distribution.errors import MayNotGenerate, NotADistributor
from derpman.distribution.states import Level
from derpman.finance import images, orders, purchases, receipts, settling, wallet
from derpman.finance import service as finance
from derpman.finance.errors import (
    CreditUsedUp,
    KeyUsed,
    NotEnoughMoney,
    NotOwed,
    PlanRetired,
    SuperAdminConfirms,
)
from derpman.finance.models import AccountKind, Method, Order
from derpman.finance.states import OrderStatus
from derpman.kit.work import Edge, Role, UnitOfWork
from derpman.serials.models import Serial
from derpman.serials.states import SerialStatus
from derpman.users.models import User
from tests.conftest import Person, QueuedMail
from tests.distribution.conftest import Grade, Purchase
from tests.finance.conftest import Fill


def serials_of(edge: Edge, order: Order) -> list[Serial]:
    def read(work: UnitOfWork) -> list[Serial]:
        found = select(Serial).where(Serial.order_id == order.id).order_by(Serial.id)
        return list(work.session.scalars(found))

    return edge.read(read)


def state(edge: Edge, order: Order) -> OrderStatus:
    return edge.read(lambda work: work.session.get_one(Order, order.id).status)


def picture() -> images.Picture:
    return images.Picture(data=b"jpeg", digest="d" * 64)


def test_what_is_bought_by_transfer_comes_when_the_super_admin_confirms(
    edge: Edge,
    edge_of: Callable[..., Edge],
    person: Callable[..., Person],
    root: Person,
    rita: Person,
    grade: Grade,
    purchase: Purchase,
    transfers_on: None,
    follow: Callable[..., None],
    mails: Callable[[str], list[QueuedMail]],
):
    grade(rita)
    order = purchase(rita, Method.ALIPAY_TRANSFER, quantity=10)
    assert (order.list_fen, order.amount_fen) == (39_000, 31_200)
    receipt = edge_of(rita.actor)(
        receipts.submit,
        order_id=order.id,
        method=Method.ALIPAY_TRANSFER,
        picture=picture(),
        note=None,
    )
    with pytest.raises(SuperAdminConfirms):
        edge_of(person("dora", Role.ADMIN).actor)(receipts.confirm, receipt_id=receipt.id)
    follow("distribution.")
    assert serials_of(edge, order) == []
    edge_of(root.actor)(receipts.confirm, receipt_id=receipt.id)
    follow("distribution.", "rentals.fulfil_order")
    follow("distribution.")
    made = serials_of(edge, order)
    assert len(made) == 10
    assert {(one.distributor_id, one.duration_days, one.status) for one in made} == {
        (rita.id, 30, SerialStatus.UNUSED)
    }
    assert state(edge, order) is OrderStatus.COMPLETED
    mail = [one for one in mails(rita.email) if one.template == "serials_ready"]
    assert len(mail) == 1
    assert all(one.code in mail[0].text for one in made)


def test_a_wallet_buys_serials_with_money_and_not_with_what_was_given(
    edge: Edge, rita: Person, fill: Fill, purchase: Purchase, balances: Callable[[], dict[str, int]]
):
    edge(wallet.compensate, user_id=rita.id, fen=5000, reason="gift", request_key="gift")
    with pytest.raises(NotEnoughMoney):
        purchase(rita)
    fill(rita, 5000)
    order = purchase(rita)  # gold when nobody said otherwise: 39.00 less 3.90
    assert (order.cash_fen, order.bonus_fen) == (3510, 0)
    assert balances()[f"bonus:{rita.id}"] == 5000
    assert len(serials_of(edge, order)) == 1


def test_the_same_key_is_the_same_purchase(
    edge: Edge, edge_of: Callable[..., Edge], rita: Person, fill: Fill
):
    fill(rita, 50_000)
    plan_id = edge.read(finance.plan_of_days, 30).id
    facts: dict[str, Any] = {"user_id": rita.id, "plan_id": plan_id, "request_key": "one-purchase"}
    place = edge_of(rita.actor)
    first = place(purchasing.place, **facts, quantity=2, method=Method.WALLET)
    again = place(purchasing.place, **facts, quantity=2, method=Method.WALLET)
    assert again.id == first.id
    assert len(serials_of(edge, first)) == 2
    with pytest.raises(KeyUsed):
        place(purchasing.place, **facts, quantity=3, method=Method.WALLET)
    version = edge.read(finance.plan, plan_id).version
    edge(finance.update_plan, plan_id=plan_id, version=version, is_retired=True)
    late = place(purchasing.place, **facts, quantity=2, method=Method.WALLET)
    assert late.id == first.id, "who did not hear the answer hears it still"
    facts["request_key"] = "another"
    with pytest.raises(PlanRetired):
        place(purchasing.place, **facts, quantity=2, method=None)


def test_credit_goes_as_far_as_its_limit_and_is_paid_back(
    edge: Edge,
    edge_of: Callable[..., Edge],
    rita: Person,
    grade: Grade,
    fill: Fill,
    purchase: Purchase,
    balances: Callable[[], dict[str, int]],
):
    grade(rita, Level.PLATINUM, credit_limit_fen=10_000)
    bought = purchase(rita, Method.CREDIT, quantity=3)
    assert len(serials_of(edge, bought)) == 3
    assert balances()[f"credit:{rita.id}"] == -9360
    with pytest.raises(CreditUsedUp) as refused:
        purchase(rita, Method.CREDIT)
    assert refused.value.params == {"free_fen": 640}
    fill(rita, 10_000)
    his = edge_of(rita.actor)
    with pytest.raises(NotOwed):
        his(purchases.repay, user_id=rita.id, fen=9361, request_key="repay-all")
    for _ in range(2):
        his(purchases.repay, user_id=rita.id, fen=9000, request_key="repay-some")
    held = balances()
    assert (held[f"credit:{rita.id}"], held[f"cash:{rita.id}"]) == (-360, 1000)
    purchase(rita, Method.CREDIT)


def test_a_refund_of_what_was_bought_by_credit_lowers_the_debt_first(
    edge: Edge,
    rita: Person,
    grade: Grade,
    purchase: Purchase,
    balances: Callable[[], dict[str, int]],
):
    grade(rita, credit_limit_fen=10_000)
    order = purchase(rita, Method.CREDIT, quantity=2)
    edge(settling.refund, order_id=order.id, fen=None, reason="test", request_key="all")
    held = balances()
    assert f"credit:{rita.id}" not in held
    assert f"cash:{rita.id}" not in held


def test_serials_that_were_paid_back_and_are_unused_are_worthless(
    edge: Edge,
    rita: Person,
    carl: Person,
    fill: Fill,
    purchase: Purchase,
    redeem: Callable[[Person, str], None],
    follow: Callable[..., None],
):
    fill(rita, 50_000)
    order = purchase(rita, quantity=3)
    redeem(carl, serials_of(edge, order)[0].code)
    edge(settling.refund, order_id=order.id, fen=100, reason="test", request_key="part")
    follow("distribution.")
    assert [one.status for one in serials_of(edge, order)][1:] == [SerialStatus.UNUSED] * 2
    edge(settling.refund, order_id=order.id, fen=None, reason="test", request_key="rest")
    follow("distribution.")
    assert [one.status for one in serials_of(edge, order)] == [
        SerialStatus.USED,
        SerialStatus.REVOKED,
        SerialStatus.REVOKED,
    ]


def test_only_who_may_makes_serials_himself(
    edge: Edge, edge_of: Callable[..., Edge], rita: Person, carl: Person, grade: Grade, fill: Fill
):
    fill(rita, 50_000)
    facts: dict[str, Any] = {
        "plan_id": edge.read(finance.plan_of_days, 30).id,
        "quantity": 2,
        "request_key": "generate-two",
        "method": Method.WALLET,
    }
    with pytest.raises(MayNotGenerate):
        edge_of(rita.actor)(purchasing.generate, user_id=rita.id, **facts)
    grade(rita, may_generate=True)
    order = edge_of(rita.actor)(purchasing.generate, user_id=rita.id, **facts)
    assert len(serials_of(edge, order)) == 2
    grade(rita)
    assert edge_of(rita.actor)(purchasing.generate, user_id=rita.id, **facts).id == order.id
    more: dict[str, Any] = {**facts, "request_key": "generate-more"}
    with pytest.raises(MayNotGenerate):
        edge_of(rita.actor)(purchasing.generate, user_id=rita.id, **more)
    with pytest.raises(NotADistributor):
        edge_of(carl.actor)(purchasing.place, user_id=carl.id, **facts)


def test_who_redeems_a_distributors_serial_is_his_customer_and_the_last_one_counts(
    edge: Edge,
    person: Callable[..., Person],
    rita: Person,
    carl: Person,
    fill: Fill,
    purchase: Purchase,
    redeem: Callable[[Person, str], None],
):
    other = person("rolf", Role.DISTRIBUTOR)
    for seller in (rita, other):
        fill(seller, 10_000)
        redeem(carl, serials_of(edge, purchase(seller))[0].code)

        def his(work: UnitOfWork) -> int | None:
            return work.session.get_one(User, carl.id).distributor_id

        assert edge.read(his) == seller.id


def test_money_that_comes_for_a_purchase_twice_is_in_the_wallet(
    edge: Edge, rita: Person, purchase: Purchase, transfers_on: None, follow: Callable[..., None]
):
    order = purchase(rita, Method.ALIPAY_TRANSFER)
    for key in ("first", "second"):
        edge(
            settling.receive,
            order_id=order.id,
            account=AccountKind.MANUAL,
            key=key,
            note="test",
        )
        follow("distribution.")
    assert len(serials_of(edge, order)) == 1
    assert edge.read(wallet.of, rita.id).cash_fen == order.amount_fen
    assert edge.read(lambda work: orders.get(work, order.id).status) is OrderStatus.COMPLETED
