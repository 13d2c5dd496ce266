from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update
from starlette.testclient import TestClient

from derpman.alerts.models import SystemAlert
from derpman.finance import checking, earning, ledger, rollups, settling, statistics, wallet
from derpman.finance.models import Account, AccountKind, Earning, FinanceDay, Order
from derpman.kit.work import Edge, UnitOfWork
from tests.conftest import MovableClock, Person
from tests.finance.conftest import Buy, Fill

PRICE = 3900


def deliver(edge: Edge, order: Order) -> None:
    edge(settling.deliver, order_id=order.id, action="complete")


def catch_up(edge: Edge) -> None:
    while edge(earning.book_days):
        pass
    edge(rollups.refresh)


def earned(edge: Edge) -> int:
    return edge.read(lambda work: ledger.balance(work, ledger.REVENUE))


def test_a_price_is_earned_by_the_day_to_the_fen(
    edge: Edge, clock: MovableClock, carl: Person, fill: Fill, buy: Buy
):
    fill(carl, 50_000)
    deliver(edge, buy(carl))
    catch_up(edge)
    assert earned(edge) == 0, "no day is over"
    seen = [0]
    for _ in range(31):
        clock.advance(days=1)
        catch_up(edge)
        seen.append(earned(edge))
    assert seen[1] == 130
    assert seen[30] == seen[31] == PRICE
    assert all(later >= before for before, later in itertools.pairwise(seen))


def test_missed_days_are_caught_up_with_and_none_is_booked_twice(
    edge: Edge, clock: MovableClock, carl: Person, fill: Fill, buy: Buy
):
    fill(carl, 50_000)
    deliver(edge, buy(carl, days=180))
    clock.advance(days=500)
    assert edge(earning.book_days) == 400
    assert edge(earning.book_days) == 100
    assert edge(earning.book_days) == 0
    assert earned(edge) == 19_900


@given(
    price=st.integers(1, 10**9),
    days=st.integers(1, 3660),
    refunds=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 10**9)), max_size=3),
)
def test_days_add_up_whatever_the_price_and_however_often_it_is_cut(
    price: int, days: int, refunds: list[tuple[int, int]]
):
    """The rule itself, as the books apply it, without a database."""
    parts = [Earning(amount_fen=price, first_day=0, days=days, last_day=days - 1)]
    left, given_back = price, 0
    for day, wanted in sorted(refunds):
        unearned = 0
        rest: list[Earning] = []
        fen = min(wanted, left)
        taken_all = 0
        for part in parts:
            if part.last_day < day:
                continue
            passed = max(0, day - part.first_day)
            unearned = part.amount_fen - part.amount_fen * passed // part.days
            taken = min(fen - taken_all, unearned)
            if taken == 0:
                continue
            part.last_day = part.first_day + passed - 1
            if unearned > taken:
                rest.append(
                    Earning(
                        amount_fen=unearned - taken,
                        first_day=part.first_day + passed,
                        days=part.days - passed,
                        last_day=part.first_day + part.days - 1,
                    )
                )
            taken_all += taken
        parts += rest
        given_back += taken_all
        left -= taken_all
    from datetime import date

    total = earning.earned_until(parts, date.fromordinal(5000))
    assert total + given_back == price


def test_a_refund_takes_first_what_is_not_earned(
    edge: Edge,
    clock: MovableClock,
    carl: Person,
    fill: Fill,
    buy: Buy,
    balances: Callable[[], dict[str, int]],
):
    fill(carl, PRICE)
    order = buy(carl)
    deliver(edge, order)
    clock.advance(days=20)
    edge(settling.refund, order_id=order.id, fen=1000, reason="asked", request_key="a")
    assert balances()["deferred"] == PRICE - 1000
    clock.advance(days=5)
    catch_up(edge)
    assert earned(edge) == 2600 + 150
    edge(settling.refund, order_id=order.id, fen=None, reason="asked", request_key="b")
    assert balances()["refunds"] == -2750
    clock.advance(days=50)
    catch_up(edge)
    assert earned(edge) == 2750
    assert "deferred" not in balances()


def test_statistics_keep_received_sold_and_earned_apart(
    edge: Edge,
    clock: MovableClock,
    client: TestClient,
    root: Person,
    carl: Person,
    eve: Person,
    fill: Fill,
    buy: Buy,
):
    fill(carl, 10_000)
    edge(wallet.compensate, user_id=eve.id, fen=PRICE, reason="gift", request_key="gift")
    deliver(edge, buy(carl))
    deliver(edge, buy(eve))
    clock.advance(days=10)
    deliver(edge, buy(carl, days=3))
    catch_up(edge)
    answer = client.get("/api/finance/statistics", headers=root.headers).json()
    assert answer["success"] is True
    assert (answer["total_revenue"], answer["total_revenue_fen"]) == ("100.00", 10_000)
    assert answer["month_revenue"] == "100.00"
    assert answer["total_earned_fen"] == 2 * 1300
    assert answer["prepaid_balance_fen"] == 10_000 - PRICE - 600
    assert answer["bonus_balance_fen"] == 0
    assert answer["deferred_fen"] == 2 * PRICE + 600 - 2600
    assert answer["total_orders"] == 3
    by_plan = {line["name"]: line for line in answer["plans"]}
    assert by_plan["30 天 / 30 days"]["orders"] == 2
    assert by_plan["30 天 / 30 days"]["sold"] == "78.00"
    assert by_plan["3 天 / 3 days"]["sold_fen"] == 600
    days = client.get("/api/finance/statistics/lines?by=day", headers=root.headers).json()["lines"]
    assert [line["key"] for line in days] == [f"2026-03-{day:02d}" for day in range(1, 12)]
    assert sum(line["received_fen"] for line in days) == 10_000
    exported = client.get("/api/finance/statistics/export?by=plan", headers=root.headers)
    assert "30 天" in exported.text
    assert client.get("/api/finance/statistics", headers=carl.headers).status_code == 403


@pytest.mark.parametrize("page", ["statistics", "statistics/lines", "statistics/export"])
@pytest.mark.parametrize(
    "span", ["first=2026-03-05&last=2026-03-01", "first=0241-09-26", "last=9999-12-31"]
)
def test_a_span_that_is_no_span_or_would_cost_thousands_of_lines_is_refused(
    client: TestClient, root: Person, page: str, span: str
):
    answer = client.get(f"/api/finance/{page}?{span}", headers=root.headers)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "finance.span_refused"
    assert "1100 days" in answer.json()["error"]["message"]


def test_today_stands_beside_the_same_day_a_week_ago(
    edge: Edge,
    clock: MovableClock,
    client: TestClient,
    root: Person,
    carl: Person,
    fill: Fill,
    statements: list[str],
):
    for days, fen in ((1, 100), (6, 2_000), (1, 30_000), (6, 400_000)):
        fill(carl, fen)
        catch_up(edge)
        clock.advance(days=days)
    fill(carl, 5_000_000)
    catch_up(edge)
    statements.clear()
    edge.read(statistics.recent)
    assert len(statements) == 1
    seen = client.get("/api/finance/statistics/recent", headers=root.headers).json()
    received = {name: seen[name]["received_fen"] for name in seen if name != "success"}
    assert received == {
        "today": 5_000_000,
        "week_ago": 30_000,
        "week": 5_400_000,
        "week_before": 32_000,
    }
    assert client.get("/api/finance/statistics/recent", headers=carl.headers).status_code == 403


def test_statistics_need_few_statements(edge: Edge, statements: list[str]):
    statements.clear()
    edge.read(statistics.overview, first=None, last=None)
    assert len(statements) <= 5, "\n".join(statements)


def test_roll_ups_are_what_the_ledger_says(
    edge: Edge, clock: MovableClock, carl: Person, eve: Person, fill: Fill, buy: Buy
):
    chance = random.Random(5)
    people = [carl, eve]
    for one in people:
        fill(one, 500_000)
    for step in range(25):
        order = buy(chance.choice(people), days=chance.choice((3, 5, 30)))
        deliver(edge, order)
        if chance.random() < 0.4:
            fen = chance.randint(1, order.amount_fen)
            edge(settling.refund, order_id=order.id, fen=fen, reason="test", request_key=f"r{step}")
        clock.advance(hours=chance.randint(1, 40))
        if chance.random() < 0.5:
            catch_up(edge)
    catch_up(edge)

    def differing(work: UnitOfWork) -> list[str]:
        first = work.session.scalar(select(func.min(FinanceDay.day)))
        assert first is not None
        wrong: list[str] = []
        for day in rollups.days_between(first, ledger.day_of(work.now) + timedelta(days=1)):
            kept = {
                (row.plan_id, row.distributor_id): {
                    name: getattr(row, name) for name in rollups.NAMES
                }
                for row in work.session.scalars(select(FinanceDay).where(FinanceDay.day == day))
            }
            if kept != rollups.of_ledger(work, day):
                wrong.append(str(day))
        return wrong

    assert edge.read(differing) == []


def test_a_balance_that_was_tampered_with_is_an_alert(
    edge: Edge, carl: Person, fill: Fill, buy: Buy
):
    fill(carl, 10_000)
    buy(carl)
    assert edge(checking.check_accounts, after=0, limit=1000) == (None, 0)
    assert edge(checking.check_orders) == 0
    assert alerts_of(edge) == []

    def tamper(work: UnitOfWork) -> None:
        more = update(Account).where(Account.kind == AccountKind.CASH).values(balance_fen=10**6)
        work.session.execute(more)

    edge(tamper)
    assert edge(checking.check_accounts, after=0, limit=1000) == (None, 1)
    assert alerts_of(edge) == ["ledger_differs"]


def test_an_order_that_says_paid_without_an_entry_is_an_alert(
    edge: Edge, clock: MovableClock, carl: Person, buy: Buy, transfers_on: None
):
    from derpman.finance.models import Method

    order = buy(carl, Method.ALIPAY_TRANSFER)

    def lie(work: UnitOfWork) -> None:
        row = work.session.get_one(Order, order.id)
        row.status, row.paid_at = "paid", work.now  # type: ignore[assignment]

    edge(lie)
    assert edge(checking.check_orders) == 1
    clock.advance(minutes=11)
    edge(checking.check_orders)
    assert set(alerts_of(edge)) == {"ledger_differs", "order_stuck"}


def alerts_of(edge: Edge) -> list[str]:
    return edge.read(lambda work: list(work.session.scalars(select(SystemAlert.alert_type))))


def test_accounts_are_checked_in_pages(edge: Edge, carl: Person, eve: Person, fill: Fill):
    fill(carl, 100)
    fill(eve, 100)
    after: int | None = 0
    pages = 0
    while after is not None:
        after, wrong = edge(checking.check_accounts, after=after, limit=1)
        assert wrong == 0
        pages += 1
    count = edge.read(lambda work: work.session.scalar(select(func.count(Account.id))))
    assert pages == (count or 0) + 1


@pytest.mark.parametrize("days", [3, 360])
def test_an_earning_of_a_free_order_is_nothing(edge: Edge, days: int):
    order = Order(id=1, plan_id=None, distributor_id=None)
    edge(earning.begin, order=order, amount_fen=0, days=days)
    assert edge.read(lambda work: list(work.session.scalars(select(Earning)))) == []
