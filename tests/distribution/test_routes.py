"""The routes of distributors: what each sees is his, and what an admin decides happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from derpman.access import service as access
from derpman.distribution import commissions, queries, settlement
from derpman.distribution.models import Statement
from derpman.distribution.states import Level
from derpman.finance import rollups, settling
from derpman.finance import service as finance
from derpman.kit.work import Edge, Role
from derpman.users import service as users
from tests.conftest import MovableClock, Person, QueuedMail
from tests.distribution.conftest import Grade, Purchase
from tests.finance.conftest import Buy, Fill

MY = "/api/admin/my"


@pytest.fixture
def rolf(person: Callable[..., Person]) -> Person:
    return person("rolf", Role.DISTRIBUTOR)


@pytest.fixture
def plan_id(edge: Edge) -> int:
    return edge.read(finance.plan_of_days, 30).id


def ask(client: TestClient, person: Person, method: str, path: str, **more: Any) -> dict[str, Any]:
    answer = client.request(method, path, headers=person.headers, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(client: TestClient, person: Person, method: str, path: str, **more: Any) -> str:
    answer = client.request(method, path, headers=person.headers, **more)
    assert answer.status_code >= 400, answer.text
    return answer.json()["error"]["code"]


def returned(edge: Edge, person: Person) -> Person:
    """Log somebody in again: a month is longer than a session."""
    return replace(person, token=edge(access.open_session, user_id=person.id))


def test_an_application_that_is_approved_waits_for_its_money(
    client: TestClient,
    edge: Edge,
    root: Person,
    rita: Person,
    plan_id: int,
    fill: Fill,
    follow: Callable[..., None],
    mails: Callable[[str], list[QueuedMail]],
):
    wish = {"plan_id": plan_id, "quantity": 5, "note": "for spring"}
    made = ask(client, rita, "POST", f"{MY}/applications", json=wish)["application"]
    assert (made["status"], made["allowed_actions"]) == ("pending", ["withdraw"])
    waiting = ask(client, root, "GET", "/api/admin/applications?status=pending")["applications"]
    assert [one["allowed_actions"] for one in waiting] == [["approve", "refuse"]]
    path = f"/api/admin/applications/{made['id']}"
    approved = ask(client, root, "POST", f"{path}/approve")["application"]
    assert approved["status"] == "approved"
    assert refused(client, root, "POST", f"{path}/approve") == "state.illegal"
    order = ask(client, rita, "GET", f"{MY}/purchase/{approved['order_id']}")
    assert (order["status"], order["amount_fen"], order["codes"]) == ("pending", 17_550, [])
    fill(rita, 20_000)
    pay = f"/api/finance/orders/{approved['order_id']}/pay"
    ask(client, rita, "POST", pay, json={"method": "wallet"})
    follow("distribution.")
    follow("distribution.")
    order = ask(client, rita, "GET", f"{MY}/purchase/{approved['order_id']}")
    assert (order["status"], len(order["codes"])) == ("completed", 5)
    told = [one.template for one in mails(rita.email)]
    assert told.count("application_decided") == told.count("serials_ready") == 1
    listed = ask(client, rita, "GET", f"{MY}/serials")["serials"]
    assert {one["code"] for one in listed} == set(order["codes"])
    assert listed[0]["allowed_actions"] == []


def test_within_his_credit_the_serials_are_there_at_once(
    client: TestClient, root: Person, rita: Person, plan_id: int, grade: Grade
):
    grade(rita, Level.GOLD, credit_limit_fen=20_000)
    wish = {"plan_id": plan_id, "quantity": 5}
    made = ask(client, rita, "POST", f"{MY}/applications", json=wish)["application"]
    path = f"/api/admin/applications/{made['id']}/approve"
    approved = ask(client, root, "POST", path)["application"]
    order = ask(client, rita, "GET", f"{MY}/purchase/{approved['order_id']}")
    assert (order["status"], len(order["codes"])) == ("completed", 5)
    summary = ask(client, rita, "GET", f"{MY}/summary")
    assert (summary["sums"]["owed_fen"], summary["credit_free_fen"]) == (17_550, 2450)
    assert summary["serials"] == {"unused": 5}


def test_an_application_is_refused_with_a_reason_or_withdrawn(
    client: TestClient,
    root: Person,
    rita: Person,
    rolf: Person,
    plan_id: int,
    follow: Callable[..., None],
    mails: Callable[[str], list[QueuedMail]],
):
    wish = {"plan_id": plan_id, "quantity": 5}
    first, second = (
        ask(client, rita, "POST", f"{MY}/applications", json=wish)["application"]["id"]
        for _ in range(2)
    )
    path = f"/api/admin/applications/{first}/refuse"
    ask(client, root, "POST", path, json={"reason": "too many at once"})
    follow("distribution.")
    assert "too many at once" in mails(rita.email)[-1].text
    withdraw = f"{MY}/applications/{second}/withdraw"
    nobodys = f"{MY}/applications/{second + 100}/withdraw"
    assert refused(client, rolf, "POST", withdraw) == refused(client, rolf, "POST", nobodys)
    assert ask(client, rita, "POST", withdraw)["application"]["status"] == "withdrawn"


def test_another_distributors_things_are_as_if_they_were_not_there(
    client: TestClient,
    edge: Edge,
    clock: MovableClock,
    rita: Person,
    rolf: Person,
    carl: Person,
    fill: Fill,
    buy: Buy,
    purchase: Purchase,
):
    fill(rita, 10_000)
    fill(carl, 10_000)
    order = purchase(rita)
    edge(users.join_distributor, user_id=carl.id, distributor_id=rita.id)
    bought = buy(carl)
    edge(settling.deliver, order_id=bought.id, action="complete")
    edge(commissions.follow, order_id=bought.id)
    clock.advance(days=31)
    (statement,) = edge(settlement.settle, user_id=rita.id)
    rita, rolf, carl = (returned(edge, one) for one in (rita, rolf, carl))
    for path, there in (
        ("/purchase/{}", order.id),
        ("/purchase/{}", bought.id),
        ("/statements/{}", statement.id),
        ("/statements/{}/export", statement.id),
        ("/statements/{}/print", statement.id),
    ):
        foreign = client.get(MY + path.format(there), headers=rolf.headers)
        nothing = client.get(MY + path.format(there + 500), headers=rolf.headers)
        assert foreign.status_code == nothing.status_code == 404
        assert foreign.json() == nothing.json()
    for name in ("customers", "serials", "statements", "commissions", "downloads"):
        assert ask(client, rolf, "GET", f"{MY}/{name}")[name] == []
        assert refused(client, carl, "GET", f"{MY}/{name}") == "auth.forbidden"
    assert [one["username"] for one in ask(client, rita, "GET", f"{MY}/customers")["customers"]]
    assert len(ask(client, rita, "GET", f"{MY}/serials")["serials"]) == 1


def test_a_statement_adds_up_as_json_as_csv_and_on_paper(
    client: TestClient,
    edge: Edge,
    clock: MovableClock,
    root: Person,
    rita: Person,
    carl: Person,
    fill: Fill,
    buy: Buy,
    purchase: Purchase,
):
    for one in (rita, carl):
        fill(one, 50_000)
    purchase(rita, quantity=3)
    edge(users.join_distributor, user_id=carl.id, distributor_id=rita.id)
    for days in (3, 5, 30):
        order = buy(carl, days=days)
        edge(settling.deliver, order_id=order.id, action="complete")
        edge(commissions.follow, order_id=order.id)
    clock.advance(days=31)
    (made,) = edge(settlement.settle, user_id=rita.id)
    rita, root = returned(edge, rita), returned(edge, root)
    shown = ask(client, rita, "GET", f"{MY}/statements/{made.id}")
    statement, bought = shown["statement"], shown["purchases"]
    assert (bought["orders"], bought["serials"], bought["list_fen"]) == (1, 3, 11_700)
    assert bought["amount_fen"] == bought["list_fen"] - bought["discount_fen"] == 10_530
    rows = client.get(f"{MY}/statements/{made.id}/export", headers=rita.headers).text.splitlines()
    assert sum(int(row.split(",")[-1]) for row in rows[1:]) == statement["earned_fen"]
    parts = ("opening_fen", "earned_fen", "taken_back_fen", "to_credit_fen", "to_wallet_fen")
    opening, earned, back, to_credit, to_wallet = (statement[name] for name in parts)
    assert opening + earned - back - to_credit - to_wallet == statement["closing_fen"]
    paper = client.get(f"/api/admin/statements/{made.id}/print", headers=root.headers)
    assert "佣金对账单" in paper.text
    assert rita.username in paper.text
    assert "sandbox" in paper.headers["Content-Security-Policy"]


def test_admins_see_all_distributors_in_few_statements(
    client: TestClient,
    edge: Edge,
    root: Person,
    rita: Person,
    rolf: Person,
    fill: Fill,
    purchase: Purchase,
    statements: list[str],
):
    fill(rita, 10_000)
    purchase(rita)
    edge(rollups.refresh)
    listed = ask(client, root, "GET", "/api/admin/distributor/list")["distributors"]
    assert [one["username"] for one in listed] == ["rolf", "rita"]
    assert listed[1]["sums"]["list_fen"] == 3900
    assert listed[1]["sums"]["discount_fen"] == 390
    statements.clear()
    edge.read(queries.sums_of, user_ids=[rita.id, rolf.id])
    assert len(statements) == 3
    from derpman.distribution import pages

    statements.clear()
    edge.read(pages.distributors, before=None, limit=20)
    assert len(statements) <= 6, "\n".join(statements)
    one = ask(client, root, "GET", f"/api/admin/distributor/{rita.id}")
    assert one["summary"]["serials"] == {"unused": 1}


def test_classes_and_terms_are_the_super_admins_and_keep_their_history(
    client: TestClient, person: Callable[..., Person], root: Person, rita: Person, carl: Person
):
    path = f"/api/admin/distributor/{rita.id}/terms"
    wish = {"level": "platinum", "may_generate": True, "credit_limit_fen": 5000, "version": 0}
    dora = person("dora", Role.ADMIN)
    assert refused(client, dora, "POST", path, json=wish) == "auth.forbidden"
    changed = ask(client, root, "POST", path, json=wish)
    assert changed["distributor"]["rate_bp"] == 2000
    assert refused(client, root, "POST", path, json=wish) == "distribution.terms_changed"
    nobody = f"/api/admin/distributor/{carl.id}/terms"
    assert refused(client, root, "POST", nobody, json=wish) == "distribution.not_a_distributor"
    rates = "/api/admin/distributor/classes"
    set_to = {"level": "platinum", "rate_bp": 2500}
    assert refused(client, dora, "POST", rates, json=set_to) == "auth.forbidden"
    after = ask(client, root, "POST", rates, json=set_to)
    assert after["rates"]["platinum"] == 2500
    assert [one["rate_bp"] for one in after["history"]] == [2500]
    again = ask(client, root, "GET", f"/api/admin/distributor/{rita.id}")
    assert again["distributor"]["rate_bp"] == 2500
    assert [one["level"] for one in again["history"]] == ["platinum"]


def test_serials_are_not_ordered_past_the_discount(
    client: TestClient, rita: Person, carl: Person, plan_id: int
):
    wish = {
        "kind": "serials",
        "plan_id": plan_id,
        "method": "wallet",
        "request_key": "no-way-in-here",
    }
    for one in (rita, carl):
        assert refused(client, one, "POST", "/api/finance/orders", json=wish) == "request.invalid"


def test_a_quote_says_what_it_costs(client: TestClient, rita: Person, plan_id: int, edge: Edge):
    asked = f"{MY}/quote?plan_id={plan_id}&quantity=3"
    quote = ask(client, rita, "GET", asked)
    assert (quote["list_fen"], quote["discount_fen"], quote["amount_fen"]) == (11_700, 1170, 10_530)
    assert edge.read(lambda work: list(work.session.scalars(select(Statement)))) == []
