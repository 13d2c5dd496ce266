from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from derpman.alerts.models import SystemAlert
from derpman.finance import auto_renewals, orders, service, wallet
from derpman.finance.models import Earning, JournalEntry, Order
from derpman.finance.states import OrderStatus
from derpman.kit.work import Edge, Role
from derpman.rentals import auto_renewal, fulfilment, renewals
from derpman.rentals import service as rentals
from tests.conftest import MovableClock, Person, QueuedMail
from tests.rentals.conftest import Activate

PRICE = 3900
Mails = Callable[[str], list[QueuedMail]]
Follow = Callable[..., None]


@pytest.fixture
def rich(edge: Edge, carl: Person) -> Person:
    give(edge, carl, 10_000)
    return carl


def give(edge: Edge, person: Person, fen: int, key: str = "start") -> None:
    edge(wallet.compensate, user_id=person.id, fen=fen, reason="test", request_key=key)


def buy(client: TestClient, person: Person, edge: Edge, days: int = 30, key: str = "k" * 8):
    body = {
        "plan_id": edge.read(service.plan_of_days, days).id,
        "method": "wallet",
        "request_key": key,
    }
    return client.post("/api/finance/orders", json=body, headers=person.headers)


def the_order(edge: Edge) -> Order:
    return edge.read(
        lambda work: work.session.scalars(select(Order).order_by(Order.id.desc())).first()
    )  # type: ignore[return-value]


def test_a_paid_order_opens_a_rental_and_the_next_one_renews_it(
    client: TestClient,
    edge: Edge,
    follow: Follow,
    servers: list[int],
    clock: MovableClock,
    rich: Person,
):
    answer = buy(client, rich, edge)
    assert answer.status_code == 200, answer.text
    follow("rentals.fulfil_order")
    rental = edge.read(rentals.open_rental, rich.id)
    assert rental is not None
    assert rental.expires_at == clock.now + timedelta(days=30)
    order = edge.read(orders.get, answer.json()["order"]["id"])
    assert (order.status, order.rental_id) == (OrderStatus.COMPLETED, rental.id)
    clock.advance(days=3)
    buy(client, rich, edge, key="another-one")
    follow("rentals.fulfil_order")
    again = edge.read(rentals.open_rental, rich.id)
    assert again is not None
    assert again.expires_at == rental.expires_at + timedelta(days=30)
    assert the_order(edge).status is OrderStatus.RENEWED
    assert edge.read(wallet.of, rich.id).total_fen == 10_000 - 2 * PRICE
    earnings = edge.read(lambda work: list(work.session.scalars(select(Earning.amount_fen))))
    assert earnings == [PRICE, PRICE]


def test_delivering_twice_delivers_once(
    client: TestClient, edge: Edge, follow: Follow, servers: list[int], rich: Person
):
    order_id = buy(client, rich, edge).json()["order"]["id"]
    for _ in range(3):
        edge(fulfilment.fulfil, order_id=order_id, region_base=931)
    rental = edge.read(rentals.open_rental, rich.id)
    assert rental is not None
    assert rental.expires_at - rental.started_at == timedelta(days=30)


def test_without_servers_the_money_comes_back_and_the_customer_and_admins_are_told(
    client: TestClient,
    edge: Edge,
    follow: Follow,
    add_server: Callable[..., int],
    rich: Person,
    mails: Mails,
):
    add_server()
    buy(client, rich, edge)
    follow("rentals.fulfil_order", "finance.tell_credited")
    assert the_order(edge).status is OrderStatus.REFUNDED
    assert edge.read(wallet.of, rich.id).total_fen == 10_000
    assert edge.read(rentals.open_rental, rich.id) is None
    alerts = edge.read(lambda work: list(work.session.scalars(select(SystemAlert.alert_type))))
    assert alerts == ["not_enough_servers"]
    mail = mails(rich.email)[-1]
    assert mail.template == "wallet_credited"
    assert "¥39.00" in mail.subject


def test_a_suspended_customers_paid_order_is_paid_back(
    client: TestClient, edge: Edge, follow: Follow, servers: list[int], rich: Person
):
    buy(client, rich, edge)
    edge(rentals.suspend_user, user_id=rich.id, reason="abuse")
    follow("rentals.fulfil_order")
    assert the_order(edge).status is OrderStatus.REFUNDED
    assert edge.read(wallet.of, rich.id).total_fen == 10_000


def renew_due(edge: Edge) -> int:
    due = edge.read(auto_renewals.due, limit=100)
    for user_id in due:
        edge(auto_renewal.look_at, user_id=user_id)
    return len(due)


def test_a_wallet_renews_a_day_before_the_end_and_once(
    client: TestClient,
    edge: Edge,
    follow: Follow,
    servers: list[int],
    clock: MovableClock,
    rich: Person,
    activate: Activate,
    mails: Mails,
):
    rental = activate(rich)
    answer = client.post("/api/finance/auto_renewal", json={"is_on": True}, headers=rich.headers)
    assert answer.status_code == 200, answer.text
    assert renew_due(edge) == 1
    assert renew_due(edge) == 0
    clock.advance(days=27)
    assert renew_due(edge) == 1
    assert edge.read(wallet.of, rich.id).total_fen == 10_000
    clock.advance(days=2, minutes=1)
    for _ in range(3):
        renew_due(edge)
        follow("rentals.fulfil_order")
        clock.advance(hours=1)
    renewed = edge.read(rentals.open_rental, rich.id)
    assert renewed is not None
    assert renewed.expires_at == rental.expires_at + timedelta(days=30)
    assert edge.read(wallet.of, rich.id).total_fen == 10_000 - PRICE
    assert "renewal_unaffordable" not in [mail.template for mail in mails(rich.email)]


def test_too_little_is_told_in_time_and_money_that_comes_still_renews(
    client: TestClient,
    edge: Edge,
    follow: Follow,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    mails: Mails,
):
    rental = activate(carl)
    client.post("/api/finance/auto_renewal", json={"is_on": True}, headers=carl.headers)
    told: list[int] = []
    for hours in (72 * 5, 71, 60, 30, 23, 22, 12, 3):
        clock.now = rental.expires_at - timedelta(hours=hours)
        renew_due(edge)
        told.append([mail.template for mail in mails(carl.email)].count("renewal_unaffordable"))
    assert told == [0, 1, 1, 1, 2, 2, 2, 2]
    clock.now = rental.expires_at - timedelta(hours=2)
    give(edge, carl, PRICE)
    renew_due(edge)
    follow("rentals.fulfil_order")
    renewed = edge.read(rentals.open_rental, carl.id)
    assert renewed is not None
    assert renewed.expires_at == rental.expires_at + timedelta(days=30)


def test_automatic_renewal_can_be_switched_off(
    client: TestClient, edge: Edge, servers: list[int], rich: Person, activate: Activate
):
    activate(rich)
    url = "/api/finance/auto_renewal"
    client.post(url, json={"is_on": True}, headers=rich.headers)
    assert client.get(url, headers=rich.headers).json()["auto_renewal"]["plan_id"] is None
    client.post(url, json={"is_on": False}, headers=rich.headers)
    assert client.get(url, headers=rich.headers).json()["auto_renewal"] is None
    assert renew_due(edge) == 0


def test_all_customers_of_a_server_are_compensated_once(
    client: TestClient,
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    eve: Person,
    person: Callable[..., Person],
    activate: Activate,
):
    admin = person("dora", Role.ADMIN)
    rental = activate(carl)
    activate(eve)
    body = {
        "server_id": servers[0],
        "days": 2,
        "reason": "an outage",
        "request_key": "outage-1",
    }
    for _ in range(2):
        answer = client.post("/api/finance/compensate", json=body, headers=admin.headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["users"] == 2
    extended = edge.read(rentals.open_rental, carl.id)
    assert extended is not None
    assert extended.expires_at == rental.expires_at + timedelta(days=2)
    order = the_order(edge)
    assert (order.amount_fen, order.status, order.reason) == (0, "renewed", "an outage")
    money = {**body, "days": None, "fen": 500, "request_key": "outage-2"}
    for _ in range(2):
        client.post("/api/finance/compensate", json=money, headers=admin.headers)
    assert edge.read(wallet.of, carl.id).bonus_fen == 500
    unclear = {**body, "fen": 5}
    refused = client.post("/api/finance/compensate", json=unclear, headers=admin.headers)
    assert refused.status_code == 422
    assert (
        client.post("/api/finance/compensate", json=body, headers=carl.headers).status_code == 403
    )


def test_days_for_somebody_without_a_rental_are_said_to_be_left_out(
    client: TestClient, root: Person, eve: Person, edge: Edge
):
    body = {"user_id": eve.id, "days": 2, "reason": "an outage", "request_key": "outage-1"}
    answer = client.post("/api/finance/compensate", json=body, headers=root.headers)
    assert answer.json()["left_out"] == [eve.id]
    assert edge.read(lambda work: list(work.session.scalars(select(JournalEntry.id)))) == []


def test_a_renewal_to_a_date_is_an_order_of_price_zero(
    edge: Edge, servers: list[int], clock: MovableClock, carl: Person, activate: Activate
):
    rental = activate(carl)
    until = rental.expires_at + timedelta(days=10)
    edge(renewals.renew_to, user_id=carl.id, until=until, reason="a friend of the house")
    order = the_order(edge)
    assert (order.amount_fen, order.status, order.rental_id) == (0, "renewed", rental.id)
    assert order.reason == "a friend of the house"
