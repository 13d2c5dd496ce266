"""What servers may send: months, margins, and relays that stand still."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from derpman.alerts.models import SystemAlert
from derpman.containers import reconcile
from derpman.kit.work import Edge, UnitOfWork
from derpman.servers import service as servers
from derpman.servers.models import AtMargin, Server
from derpman.traffic import allowances, cards
from derpman.traffic.calendar import BEIJING, month_of, periods
from derpman.traffic.cards import CardReading
from tests.conftest import MovableClock
from tests.traffic.conftest import MB, Customer

Make = Callable[..., Customer]


def server_of(edge: Edge, server_id: int) -> Server:
    return edge.read(servers.get, server_id)


def change(edge: Edge, server_id: int, **values: Any) -> None:
    def write(work: UnitOfWork) -> None:
        server = servers.get(work, server_id)
        for name, value in values.items():
            setattr(server, name, value)

    edge(write)


def card(edge: Edge, clock: MovableClock, server_id: int, sent: int) -> None:
    clock.advance(seconds=5)
    edge(cards.record_cards, cards={server_id: CardReading(sent, clock())})
    edge(allowances.sum_up)


def alerts(edge: Edge) -> set[str]:
    def read(work: UnitOfWork) -> set[str]:
        found = select(SystemAlert.alert_type).where(~SystemAlert.resolved)
        return set(work.session.scalars(found))

    return edge.read(read)


def test_month_begins_on_the_billing_day_in_beijing() -> None:
    at = datetime(2026, 2, 28, 17, 0, tzinfo=UTC)  # one in the morning of the first of March
    assert month_of(at, 1) == datetime(2026, 3, 1, tzinfo=BEIJING)
    assert month_of(at, 31) == datetime(2026, 2, 28, tzinfo=BEIJING)
    assert month_of(at, 2) == datetime(2026, 2, 2, tzinfo=BEIJING)
    assert month_of(datetime(2026, 1, 5, tzinfo=UTC), 20) == datetime(2025, 12, 20, tzinfo=BEIJING)


def test_periods_are_of_thirty_days() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert len(periods(start, start + timedelta(days=360))) == 12
    assert len(periods(start + timedelta(seconds=3), start + timedelta(days=30))) == 1
    assert periods(start, start + timedelta(days=45))[1][1] == start + timedelta(days=45)
    assert periods(start, start) == []


def test_server_counts_by_its_card_and_anew_each_month(
    edge: Edge, clock: MovableClock, add_server: Callable[..., int]
) -> None:
    server = add_server(monthly_allowance_bytes=1000 * MB, billing_day=5)
    card(edge, clock, server, 10 * MB)
    card(edge, clock, server, 210 * MB)
    assert server_of(edge, server).month_traffic_bytes == 200 * MB
    clock.now = datetime(2026, 3, 4, 16, 0, tzinfo=UTC)
    card(edge, clock, server, 260 * MB)
    found = server_of(edge, server)
    assert (found.traffic_bytes, found.month_traffic_bytes) == (250 * MB, 0)


def test_relays_count_where_the_card_says_nothing(carls: Customer) -> None:
    relay = carls.relays[0]
    carls.send(relay, 30 * MB)
    carls.edge(allowances.sum_up)
    assert server_of(carls.edge, carls.server_of[relay]).month_traffic_bytes == 30 * MB


def test_nearly_used_allowance_takes_nobody_new(
    edge: Edge, clock: MovableClock, add_server: Callable[..., int]
) -> None:
    server = add_server(monthly_allowance_bytes=1000 * MB)
    card(edge, clock, server, 1)
    card(edge, clock, server, 899 * MB)
    assert edge.read(servers.candidates)
    card(edge, clock, server, 901 * MB)
    assert not edge.read(servers.candidates)
    assert alerts(edge) == {"server_allowance"}


def test_margin_stops_relays_tells_customers_and_ends_with_the_month(
    customer: Make, follow: Any, mails: Callable[[str], list[Any]]
) -> None:
    carl = customer()
    server = carl.server_of[carl.relays[0]]
    change(carl.edge, server, monthly_allowance_bytes=1000 * MB, margin_percent=98)
    card(carl.edge, carl.clock, server, 1)
    for sent in (985, 990):
        card(carl.edge, carl.clock, server, sent * MB)
    follow("traffic.")
    assert server_of(carl.edge, server).halted_at is not None
    wish = carl.edge.read(reconcile.desired_state, server_id=server, force=True)
    assert wish is not None
    assert [relay["running"] for relay in wish["relays"]] == [False]
    told = [mail.template for mail in mails("carl@example.com")]
    assert told.count("server_stopped") == 1
    assert alerts(carl.edge) == {"server_allowance", "server_margin"}
    carl.clock.now = datetime(2026, 4, 1, tzinfo=UTC)
    card(carl.edge, carl.clock, server, 990 * MB)
    assert server_of(carl.edge, server).halted_at is None
    assert alerts(carl.edge) == set()


def test_margin_can_ask_for_a_move_instead(customer: Make) -> None:
    from derpman.kit.outbox import Delivery

    carl = customer()
    server = carl.server_of[carl.relays[0]]
    change(
        carl.edge,
        server,
        monthly_allowance_bytes=100 * MB,
        margin_percent=95,
        at_margin=AtMargin.MOVE,
    )
    card(carl.edge, carl.clock, server, 1)
    card(carl.edge, carl.clock, server, 96 * MB)
    assert server_of(carl.edge, server).halted_at is None

    def deliveries(work: UnitOfWork) -> set[str]:
        return set(work.session.scalars(select(Delivery.event)))

    assert "traffic.server_stopped" not in carl.edge.read(deliveries)


def test_sum_of_many_servers_asks_little(
    edge: Edge, clock: MovableClock, add_server: Callable[..., int], statements: list[str]
) -> None:
    many = [add_server() for _ in range(20)]
    for sent in (1, 5 * MB):
        clock.advance(seconds=5)
        edge(cards.record_cards, cards={one: CardReading(sent, clock()) for one in many})
    statements.clear()
    edge(allowances.sum_up)
    few = [one for one in statements if "UPDATE server_meters SET month" not in one]
    assert len(few) <= 6
    statements.clear()
    edge(allowances.sum_up)
    assert len(statements) <= 5
