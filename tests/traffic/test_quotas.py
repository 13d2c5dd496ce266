"""What a rental may send: levels, shares on the nodes, more traffic, periods."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derpman.finance import service as finance
from derpman.finance.models import OverQuota
from derpman.kit.work import Edge, UnitOfWork
from derpman.rentals import renewals
from derpman.rentals import service as rentals
from derpman.traffic import rounds, service
from derpman.traffic.errors import NoOpenPeriod
from derpman.traffic.models import TrafficPeriod
from derpman.traffic.shares import CRUMB_BYTES, Part, share
from tests.conftest import MovableClock, Person
from tests.traffic.conftest import MB, Customer

Make = Callable[..., Customer]
Mails = Callable[[str], list[Any]]
ADDRESS = "carl@example.com"


def press(customer: Customer) -> None:
    customer.hear()
    customer.edge(rounds.press, rental_ids=[customer.rental.id])


def outstanding(customer: Customer) -> int:
    """What the relays may still send together, as their nodes were told."""
    node = {meter.placement_id: meter.node_bytes for meter in customer.meters()}
    limits = zip(customer.relays, customer.quotas(), strict=True)
    return sum(max(0, (limit or 0) - node.get(relay, 0)) for relay, limit in limits)


def test_first_period_is_open_and_shared_out_at_once(customer: Make) -> None:
    carl = customer(900 * MB)
    period = carl.period()
    assert (period.number, period.limit_bytes, period.used_bytes) == (1, 900 * MB, 0)
    assert period.ends_at == carl.rental.expires_at
    assert carl.quotas() == [300 * MB] * 3


def test_shares_are_never_more_than_what_is_left(customer: Make) -> None:
    carl = customer(900 * MB)
    for size in (40, 200, 120, 90, 33):
        carl.send(carl.relays[0], size * MB)
        carl.send(carl.relays[1], size * MB // 5)
        press(carl)
        assert outstanding(carl) <= carl.period().left_bytes


def test_busy_relay_gets_most_of_what_is_left(customer: Make) -> None:
    carl = customer(900 * MB)
    carl.tell(*carl.relays)
    carl.send(carl.relays[0], 200 * MB)
    press(carl)
    first, second, third = carl.quotas()
    assert first is not None
    assert second is not None
    assert first - 200 * MB > 700 * MB * 6 // 10
    assert second == third
    assert second > 700 * MB // 33


def test_keep_alives_are_no_use(customer: Make) -> None:
    carl = customer(900 * MB)
    carl.tell(*carl.relays)
    carl.send(carl.relays[0], 2000)
    press(carl)
    assert max(limit or 0 for limit in carl.quotas()) < 301 * MB


def test_relay_out_of_touch_keeps_its_share(customer: Make) -> None:
    carl = customer(900 * MB)
    carl.tell(*carl.relays)
    carl.away = {carl.relays[2]}
    carl.clock.advance(minutes=2)
    carl.send(carl.relays[0], 200 * MB)
    press(carl)
    assert carl.quotas()[2] == 300 * MB
    assert outstanding(carl) <= carl.period().left_bytes


def test_relay_out_of_touch_gets_its_share_for_when_it_returns(customer: Make) -> None:
    carl = customer(90 * MB)
    carl.send(carl.relays[0], 90 * MB)
    assert carl.quotas() == [0, 0, 0]
    carl.away = set(carl.relays)
    carl.clock.advance(minutes=5)
    carl.edge(service.grant, user_id=carl.user_id, granted_bytes=90 * MB, reason="outage")
    assert min(limit or 0 for limit in carl.quotas()) >= 3 * MB
    assert outstanding(carl) <= 90 * MB


@given(
    left=st.integers(0, 10**12),
    parts=st.lists(
        st.tuples(st.integers(0, 10**12), st.none() | st.integers(0, 10**11)),
        min_size=1,
        max_size=6,
    ),
)
def test_shares_never_sum_to_more_than_is_left(left: int, parts: list[Any]) -> None:
    relays = [Part(id_, 0, used, kept) for id_, (used, kept) in enumerate(parts)]
    kept = sum(has or 0 for _, has in parts)
    shares = share(left, relays, 0)
    assert shares.keys() == {relay.id for relay in relays}
    assert sum(shares.values()) <= max(left, kept) + CRUMB_BYTES * len(relays)
    assert all(shares[relay.id] >= (relay.kept_bytes or 0) for relay in relays)


def test_last_of_it_goes_to_every_relay() -> None:
    parts = [Part(1, 0, 5 * MB), Part(2, 0, 0), Part(3, 0, 0)]
    assert share(20 * MB, parts, 25 * MB) == {1: 20 * MB, 2: 20 * MB, 3: 20 * MB}
    assert share(CRUMB_BYTES, parts, 0) == dict.fromkeys((1, 2, 3), CRUMB_BYTES)
    assert sum(share(20 * MB, parts, MB).values()) <= 20 * MB


def test_used_up_traffic_stops_all_relays_on_their_nodes(customer: Make) -> None:
    carl = customer(100 * MB, over_quota=OverQuota.STOP)
    carl.send(carl.relays[1], 101 * MB)
    assert carl.quotas() == [0, 0, 0]
    assert carl.period().over_at == carl.clock()


def test_levels_are_told_once_each(customer: Make, follow: Any, mails: Mails) -> None:
    carl = customer(100 * MB)
    told: list[str] = []
    for size in (79, 1, 1, 15, 1, 3, 4):
        carl.send(carl.relays[0], size * MB)
        follow("traffic.")
        told = [mail.subject for mail in mails(ADDRESS) if mail.template == "quota_passed"]
    assert [subject.count("80") + subject.count("95") for subject in told] == [1, 1, 0]


def test_more_traffic_opens_at_once_and_warns_again(
    customer: Make, root: Person, edge_of: Callable[..., Edge], follow: Any, mails: Mails
) -> None:
    carl = customer(100 * MB)
    carl.send(carl.relays[0], 100 * MB)
    assert carl.quotas() == [0, 0, 0]
    follow("traffic.")
    carl.hear()
    period = edge_of(root.actor)(
        service.grant, user_id=carl.user_id, granted_bytes=100 * MB, reason="outage"
    )
    follow("traffic.")
    assert (period.limit_bytes, period.level, period.over_at) == (200 * MB, 0, None)
    assert 0 <= 100 * MB - outstanding(carl) < 3
    carl.send(carl.relays[0], 100 * MB)
    follow("traffic.")
    kinds = [mail.template for mail in mails(ADDRESS)]
    assert kinds.count("quota_passed") == 2
    assert kinds.count("quota_opened") == 1


def test_more_traffic_needs_a_rental(edge: Edge, eve: Person) -> None:
    with pytest.raises(NoOpenPeriod):
        edge(service.grant, user_id=eve.id, granted_bytes=1, reason="kindness")


def test_new_amount_every_thirty_days(customer: Make, clock: MovableClock) -> None:
    carl = customer(100 * MB, days=180)
    start = carl.rental.started_at
    carl.send(carl.relays[0], 100 * MB)
    assert carl.quotas() == [0, 0, 0]
    clock.now = start + timedelta(days=30)
    carl.hear()
    carl.edge(service.turn, rental_id=carl.rental.id)
    period = carl.period()
    assert (period.number, period.used_bytes) == (2, 0)
    assert period.ends_at == start + timedelta(days=60)
    assert 0 <= 100 * MB - outstanding(carl) < 3
    carl.send(carl.relays[0], 7 * MB)
    assert carl.period().used_bytes == 7 * MB


def test_short_plan_has_one_amount(customer: Make) -> None:
    carl = customer(20 * MB, days=5)
    assert carl.period().ends_at == carl.rental.expires_at


def renew(carl: Customer, days: int, **terms: Any) -> None:
    """Renew with the plan of that length, changed as given."""

    def extend(work: UnitOfWork) -> None:
        plan = finance.plan_of_days(work, days)
        for name, value in terms.items():
            setattr(plan, name, value)
        work.session.flush()
        renewals.renew(
            work, user_id=carl.user_id, plan_id=plan.id, cause=renewals.Cause(reason="test")
        )

    carl.edge(extend)
    carl.hear()
    for _ in range(2):  # told twice, it happens once
        carl.edge(service.follow, rental_id=carl.rental.id, user_id=carl.user_id)


def test_renewal_while_used_up_opens_the_next_amount_at_once(customer: Make) -> None:
    carl = customer(100 * MB)
    ends_at = carl.rental.expires_at
    carl.send(carl.relays[0], 100 * MB)
    renew(carl, 30)
    period = carl.period()
    assert (period.number, period.starts_at) == (2, carl.clock())
    assert period.ends_at == ends_at + timedelta(days=30)
    assert 0 <= 100 * MB - outstanding(carl) < 3


def test_amount_drawn_forward_is_that_of_its_own_plan(customer: Make) -> None:
    carl = customer(100 * MB)
    carl.send(carl.relays[0], 100 * MB)
    renew(carl, 3, traffic_bytes=7 * MB)
    assert (carl.period().number, carl.period().limit_bytes) == (2, 7 * MB)
    carl.edge(service.follow, rental_id=carl.rental.id, user_id=carl.user_id)
    assert carl.period().limit_bytes == 7 * MB


def test_renewal_with_traffic_left_adds_a_period(customer: Make) -> None:
    carl = customer(100 * MB)
    ends_at = carl.rental.expires_at
    carl.send(carl.relays[0], 40 * MB)
    renew(carl, 30, traffic_bytes=300 * MB)
    period = carl.period()
    assert (period.number, period.limit_bytes, period.used_bytes) == (1, 300 * MB, 40 * MB)
    carl.clock.now = ends_at
    carl.edge(service.turn, rental_id=carl.rental.id)
    assert (carl.period().number, carl.period().ends_at) == (2, ends_at + timedelta(days=30))


def test_smaller_plan_holds_from_the_next_period(customer: Make) -> None:
    carl = customer(100 * MB)
    renew(carl, 30, traffic_bytes=30 * MB)
    assert carl.period().limit_bytes == 100 * MB
    carl.clock.now = carl.rental.expires_at
    carl.edge(service.turn, rental_id=carl.rental.id)
    assert carl.period().limit_bytes == 30 * MB


def test_end_of_the_rental_closes_its_periods(customer: Make, root: Person) -> None:
    carl = customer(100 * MB, days=180)
    carl.edge(rentals.end, rental_id=carl.rental.id, reason="test")
    carl.edge(service.follow, rental_id=carl.rental.id, user_id=carl.user_id)

    def states(work: UnitOfWork) -> set[str]:
        from sqlalchemy import select

        return set(work.session.scalars(select(TrafficPeriod.status)))

    assert carl.edge.read(states) == {"closed"}


def test_desired_state_has_the_share(customer: Make) -> None:
    from derpman.containers import reconcile

    carl = customer(90 * MB, over_quota=OverQuota.THROTTLE, throttle_bytes_per_second=125_000)
    server = carl.server_of[carl.relays[0]]
    wish = carl.edge.read(reconcile.desired_state, server_id=server, force=True)
    assert wish is not None
    assert wish["relays"][0]["quota"] == {
        "limit_bytes": 30 * MB,
        "at_limit": "throttle",
        "throttle_bytes_per_second": 125_000,
    }
