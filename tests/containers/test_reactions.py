"""From what was found to alerts, mails and restraints, and back when it is over."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sqlalchemy import select

from derpman.alerts import rules
from derpman.alerts import service as alerts
from derpman.alerts.models import Reaction, Severity, SystemAlert
from derpman.containers import reactions, restraints
from derpman.containers.models import Placement, Restraint
from derpman.containers.reactions import Finding
from derpman.containers.reconcile import desired_state
from derpman.kit.work import Edge
from derpman.rentals.models import Rental
from tests.conftest import Person
from tests.rentals.conftest import Activate, activate, new_code, servers

__all__ = ["activate", "new_code", "servers"]
KIND = "rate_too_high"


@pytest.fixture
def rental(carl: Person, activate: Activate, servers: list[int]) -> Rental:
    return activate(carl)


@pytest.fixture
def finding(carl: Person) -> Finding:
    facts = {"megabytes_per_second": 90, "minutes": 10, "limit": 25}
    return Finding(str(carl.id), carl.id, facts)


def set_rule(edge: Edge, **changes: object) -> None:
    rule = edge.read(rules.rule, KIND)
    edge(rules.edit, wanted=replace(rule, **changes))  # pyright: ignore[reportArgumentType] # any


def all_alerts(edge: Edge) -> list[SystemAlert]:
    with edge.sessions.reading() as session:
        found = select(SystemAlert).where(SystemAlert.alert_type == KIND)
        return list(session.scalars(found.order_by(SystemAlert.id)))


def relay_of(edge: Edge, rental: Rental) -> dict:
    """What the first server's node is told of Carl's relay."""
    with edge.sessions.reading() as session:
        found = select(Placement).where(Placement.rental_id == rental.id).order_by(Placement.id)
        first = session.scalars(found).first()
        assert first is not None
    state = edge.read(desired_state, server_id=first.server_id, force=True)
    assert state is not None
    return dict(state["relays"][0])


def generation(edge: Edge, server_id: int) -> int:
    state = edge.read(desired_state, server_id=server_id, force=True)
    assert state is not None
    return state["generation"]


def test_found_it_is_one_alert_and_over_when_it_is_gone(edge: Edge, finding: Finding, clock):
    for _ in range(3):
        reactions.follow(edge, KIND, [finding])
        clock.advance(minutes=1)
    (alert,) = all_alerts(edge)
    assert (alert.resolved, alert.count) == (False, 1)
    assert alert.message.startswith(f"User {finding.user_id} (carl) has sent 90 MB/s on average")
    assert json.loads(alert.params)["username"] == "carl"
    reactions.follow(edge, KIND, [])
    assert [one.resolved for one in all_alerts(edge)] == [True]
    reactions.follow(edge, KIND, [finding])
    assert [one.resolved for one in all_alerts(edge)] == [True, False]


def test_what_goes_on_costs_one_statement(edge: Edge, finding: Finding, statements: list[str]):
    reactions.follow(edge, KIND, [finding])
    statements.clear()
    reactions.follow(edge, KIND, [finding])
    assert len([one for one in statements if "UPDATE" in one or "INSERT" in one]) == 0
    assert len(statements) <= 2  # the open ones, and the rule


def test_kinds_and_keys_do_not_mix(edge: Edge, carl: Person):
    reactions.follow(edge, KIND, [Finding("1", carl.id, {}), Finding("11", carl.id, {})])
    alert_type = "rate_too_high_indeed"
    edge(
        alerts.raise_alert, alert_type=alert_type, severity=Severity.INFO, object_key="1", params={}
    )
    reactions.follow(edge, "rateXtoo_high", [])
    reactions.follow(edge, KIND, [Finding("11", carl.id, {})])
    assert [one.resolved for one in all_alerts(edge)] == [True, False]


def test_findings_about_nobody_stop_no_other(edge: Edge, finding: Finding):
    reactions.follow(edge, KIND, [Finding("0", 999, {}), finding])
    assert len(all_alerts(edge)) == 1


def test_the_customer_is_mailed_once_where_the_rule_says_so(
    edge: Edge, finding: Finding, mails, carl: Person
):
    reactions.follow(edge, KIND, [finding])
    assert mails(carl.email) == []
    reactions.follow(edge, KIND, [])
    set_rule(edge, reaction=Reaction.MAIL)
    for _ in range(2):
        reactions.follow(edge, KIND, [finding])
    (mail,) = mails(carl.email)
    assert mail.template == "anomaly_noticed"
    assert "流量异常偏高" in mail.text
    assert "暂时" not in mail.text


def test_throttled_while_it_goes_on(
    edge: Edge, finding: Finding, rental: Rental, clock, mails, carl: Person
):
    before = relay_of(edge, rental)
    set_rule(edge, reaction=Reaction.THROTTLE, throttle_bytes_per_second=5000, hold_minutes=30)
    reactions.follow(edge, KIND, [finding])
    during = relay_of(edge, rental)
    assert during == {**before, "rate_bytes_per_second": 5000}
    assert "暂时限速" in mails(carl.email)[-1].text
    clock.advance(minutes=20)
    reactions.follow(edge, KIND, [finding])  # goes on: held for 30 minutes from here
    clock.advance(minutes=29)
    reactions.follow(edge, KIND, [])
    assert relay_of(edge, rental) == during
    assert [one.resolved for one in all_alerts(edge)] == [False]
    clock.advance(minutes=2)
    reactions.follow(edge, KIND, [])
    assert relay_of(edge, rental) == before
    assert [one.resolved for one in all_alerts(edge)] == [True]


def test_stopped_and_running_again(edge: Edge, finding: Finding, rental: Rental, clock):
    assert relay_of(edge, rental)["running"] is True
    set_rule(edge, reaction=Reaction.STOP, hold_minutes=10)
    reactions.follow(edge, KIND, [finding])
    assert relay_of(edge, rental)["running"] is False
    clock.advance(minutes=11)
    reactions.follow(edge, KIND, [])
    assert relay_of(edge, rental)["running"] is True


def test_nodes_are_told_only_when_something_changes(
    edge: Edge, finding: Finding, rental: Rental, servers: list[int], clock
):
    set_rule(edge, reaction=Reaction.STOP, hold_minutes=10)
    first = generation(edge, servers[0])
    reactions.follow(edge, KIND, [finding])
    assert generation(edge, servers[0]) == first + 1
    for _ in range(5):
        clock.advance(minutes=1)
        reactions.follow(edge, KIND, [finding])
    assert generation(edge, servers[0]) == first + 1


def test_an_admin_ends_it_by_closing_the_alert(
    edge: Edge, finding: Finding, rental: Rental, follow
):
    set_rule(edge, reaction=Reaction.STOP)
    reactions.follow(edge, KIND, [finding])
    (alert,) = all_alerts(edge)
    edge(alerts.resolve, alert_id=alert.id)
    follow("containers.")
    assert relay_of(edge, rental)["running"] is True
    with edge.sessions.reading() as session:
        assert session.scalars(select(Restraint)).all() == []


def test_a_rule_that_is_switched_off_holds_nobody(edge: Edge, finding: Finding, rental: Rental):
    set_rule(edge, reaction=Reaction.STOP)
    reactions.follow(edge, KIND, [finding])
    set_rule(edge, is_enabled=False)
    reactions.follow(edge, KIND, [])
    assert relay_of(edge, rental)["running"] is True


def test_the_least_of_several_speeds_holds(edge: Edge, rental: Rental, carl: Person, clock):
    def restrain(alert_id: int, reaction: Reaction, speed: int) -> None:
        edge(
            restraints.restrain,
            alert_id=alert_id,
            user_id=carl.id,
            reaction=reaction,
            bytes_per_second=speed,
            until=clock.now,
        )

    restrain(1, Reaction.THROTTLE, 9000)
    restrain(2, Reaction.THROTTLE, 4000)
    assert relay_of(edge, rental)["rate_bytes_per_second"] == 4000
    restrain(3, Reaction.STOP, 1)
    assert relay_of(edge, rental)["running"] is False
    for alert_id in (2, 3):
        edge(restraints.lift, alert_id=alert_id)
    assert relay_of(edge, rental)["rate_bytes_per_second"] == 9000
    assert relay_of(edge, rental)["running"] is True
    assert len(edge.read(restraints.of_user, user_id=carl.id)) == 1


@pytest.mark.parametrize(
    ("rate", "throttle", "speed"), [(100, None, 100), (100, 50, 50), (100, 500, 100), (0, 50, 50)]
)
def test_a_throttle_makes_nothing_faster(rate: int, throttle: int | None, speed: int):
    assert restraints.slowed(rate, throttle) == speed


def test_admins_see_whom_alerts_hold(
    client, root, eve, edge: Edge, finding: Finding, rental: Rental
):
    set_rule(edge, reaction=Reaction.STOP)
    reactions.follow(edge, KIND, [finding])
    path = "/api/container/restraints"
    assert client.get(path, headers=eve.headers).status_code == 403
    (held,) = client.get(path, headers=root.headers).json()["restraints"]
    assert (held["user_id"], held["reaction"]) == (finding.user_id, "stop")
    assert held["alert_id"] == all_alerts(edge)[0].id
