"""Pushing an ACL into a tailnet's policy: merged, checked, written once, and undone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import select

from derpman.acl import service as acl
from derpman.acl import usage
from derpman.acl.hujson import read
from derpman.acl.states import Evidence
from derpman.devices import service as devices
from derpman.devices.models import Source
from derpman.kit.outbox import Delivery
from derpman.kit.work import Edge
from derpman.rentals import service as rentals
from derpman.rentals.models import Rental
from derpman.tailnets import push, service, tailscale
from derpman.tailnets import pusher as pushers
from derpman.tailnets.errors import (
    ConfirmUnregistered,
    NothingToUndo,
    PreviewFirst,
    PushNotFound,
    PushUnderWay,
)
from derpman.tailnets.models import AclPush, TailnetLink
from derpman.tailnets.policy import carry_out
from derpman.tailnets.pusher import LeaseLost, Pusher
from derpman.tailnets.service import LinkFacts
from derpman.tailnets.states import LinkKind, LinkStatus, PushKind, PushStatus
from tests.conftest import MovableClock, Person
from tests.system.emulators.api_server import Fault, Reply, Request
from tests.system.emulators.tailscale import DEFAULT_POLICY, Tailscale, key_of
from tests.tailnets.conftest import ANY, IMPATIENT, sealed_secret

Link = Callable[..., int]
Pushed = Callable[[int], AclPush]
WRITE = "POST /api/v2/tailnet/-/acl"
OWN_931 = """{"derpMap": {"Regions": {"931": {
\t"RegionID": 931, "RegionCode": "own", "RegionName": "Own",
\t"Nodes": [{"Name": "own", "RegionID": 931, "HostName": "own.example"}],
}}}}"""

pytestmark = pytest.mark.usefixtures("rental")


def preview_and_push(do: Edge, pusher: Pusher) -> int:
    do(push.preview)
    pusher.push_due()
    asked = do(push.ask, accept_unregistered=True)
    pusher.push_due()
    return asked.id


def regions(there: Tailscale) -> dict[str, dict]:
    root = read(there.policy).root
    assert root is not None
    return root.plain().get("derpMap", {}).get("Regions", {})


def events(edge: Edge, name: str) -> list[dict]:
    with edge.sessions.reading() as session:
        told = select(Delivery.payload).where(Delivery.event == name, Delivery.handler == "x")
        rows = session.scalars(told)
        return [json.loads(row) for row in rows]


def listening(pusher: Pusher) -> Pusher:
    """Return one whose events go to a handler that nobody runs, and so are kept."""
    handlers = {"acl.pushed": ["x"], "acl.push_undone": ["x"], "acl.push_failed": ["x"]}
    return replace(pusher, run=replace(pusher.run, handlers=handlers))


def test_a_preview_shows_the_change_and_writes_nothing(
    do: Edge, pusher: Pusher, link: Link, pushed: Pushed, there: Tailscale, carl: Person
) -> None:
    link()
    there.add_device("laptop")
    there.add_device("phone")
    there.add_device("shared", isExternal=True)
    do(
        devices.register,
        user_id=carl.id,
        node_key=key_of("laptop"),
        name="laptop",
        source=Source.NODE_KEY,
    )
    asked = do(push.preview)
    assert pusher.push_due() == 1
    seen = pushed(asked.id)
    assert seen.status is PushStatus.DONE
    assert json.loads(seen.unregistered or "") == ["phone"]
    assert there.written == []
    diff = pusher.run.vault.open(seen.diff or "")
    assert '+\t\t"931": {' in diff or '"931"' in diff
    assert "acls" not in diff  # the derpMap part and nothing else of his policy is kept


def test_the_first_push_wants_a_preview_and_a_word_about_devices(
    do: Edge, pusher: Pusher, link: Link, there: Tailscale
) -> None:
    link()
    there.add_device("phone")
    with pytest.raises(PreviewFirst):
        do(push.ask)
    do(push.preview)
    with pytest.raises(PreviewFirst):  # it was not shown yet
        do(push.ask)
    pusher.push_due()
    with pytest.raises(ConfirmUnregistered) as refused:
        do(push.ask)
    assert refused.value.params["names"] == ["phone"]
    do(push.ask, accept_unregistered=True)
    pusher.push_due()
    assert len(there.written) == 1
    do(push.ask)  # from now on without


def test_a_link_that_may_not_see_devices_wants_the_word_too(
    do: Edge, pusher: Pusher, link: Link, there: Tailscale, pushed: Pushed
) -> None:
    there.scopes = "policy_file"
    link(wants_devices=False)
    asked = do(push.preview)
    pusher.push_due()
    assert pushed(asked.id).unregistered is None
    with pytest.raises(ConfirmUnregistered):
        do(push.ask)


def test_a_push_keeps_the_rest_of_the_policy(
    do: Edge,
    edge: Edge,
    pusher: Pusher,
    link: Link,
    pushed: Pushed,
    there: Tailscale,
    carl: Person,
    link_now,
) -> None:
    link()
    push_id = preview_and_push(do, listening(pusher))
    assert pushed(push_id).status is PushStatus.DONE
    assert there.written == [there.policy]
    assert set(regions(there)) == {"931", "932", "933"}
    assert "// Everybody may reach everything." in there.policy
    version = edge.read(acl.current, user_id=carl.id)
    assert version is not None
    assert link_now().pushed_version_id == version.id
    [told] = events(edge, "acl.pushed")
    assert (told["user_id"], told["version_id"]) == (carl.id, version.id)
    assert told["at"].startswith("2026-03-01T08:00")


def test_what_is_in_place_is_not_written_again(
    do: Edge, edge: Edge, pusher: Pusher, link: Link, pushed: Pushed, there: Tailscale
) -> None:
    link()
    preview_and_push(do, pusher)
    there.policy = there.policy.replace('"931"', ' "931"')  # another layout, the same meaning
    asked = do(push.ask)
    listening(pusher).push_due()
    assert pushed(asked.id).status is PushStatus.UNCHANGED
    assert len(there.written) == 1
    assert len(events(edge, "acl.pushed")) == 1  # evidence all the same


def test_somebody_elses_change_is_merged_and_not_lost(
    do: Edge, pusher: Pusher, link: Link, pushed: Pushed, there: Tailscale
) -> None:
    link()
    do(push.preview)
    pusher.push_due()
    edits = iter(["// first\n", "// second\n"])

    def meddle(request: Request) -> None:
        if (request.method, request.path) == ("GET", "/api/v2/tailnet/-/acl"):
            there.policy = next(edits, "") + there.policy

    asked = do(push.ask, accept_unregistered=True)
    there.after = meddle
    pusher.push_due()
    assert pushed(asked.id).status is PushStatus.DONE
    assert there.policy.startswith("// second\n// first\n")
    assert len(there.written) == 1


def test_a_policy_that_never_rests_is_tried_again_later(
    do: Edge,
    pusher: Pusher,
    link: Link,
    pushed: Pushed,
    there: Tailscale,
    clock: MovableClock,
) -> None:
    link()
    do(push.preview)
    pusher.push_due()

    def meddle(request: Request) -> None:
        if (request.method, request.path) == ("GET", "/api/v2/tailnet/-/acl"):
            there.policy = "// again\n" + there.policy

    asked = do(push.ask, accept_unregistered=True)
    there.after = meddle
    pusher.push_due()
    waiting = pushed(asked.id)
    assert (waiting.status, waiting.error) == (PushStatus.QUEUED, "push.policy_keeps_changing")
    assert there.written == []
    there.after = None
    clock.advance(seconds=31)
    pusher.push_due()
    assert pushed(asked.id).status is PushStatus.DONE
    assert pushed(asked.id).error is None


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_lost_answer_is_looked_after_before_anything_is_written_twice(
    do: Edge, pusher: Pusher, link: Link, pushed: Pushed, there: Tailscale, is_cut: bool
) -> None:
    link()
    do(push.preview)
    pusher.push_due()
    asked = do(push.ask, accept_unregistered=True)
    there.faults.append(Fault(WRITE, is_cut=is_cut, reply=None if is_cut else Reply(502)))
    there.faults.insert(0, Fault(f"{WRITE}/validate"))  # the first that begins so is the check
    pusher.push_due()
    assert pushed(asked.id).status is PushStatus.DONE
    assert len(there.written) == 1  # written before it was cut, or not at all and then again
    assert pushed(asked.id).former is not None


def test_a_worker_that_dies_after_writing_leaves_nothing_to_do_twice(
    do: Edge,
    edge: Edge,
    pusher: Pusher,
    link: Link,
    pushed: Pushed,
    there: Tailscale,
    clock: MovableClock,
) -> None:
    link()
    do(push.preview)
    pusher.push_due()
    asked = do(push.ask, accept_unregistered=True)
    job = edge(pushers.lease_next)
    assert job is not None
    api = job.access.connect(ANY, there.url)
    assert isinstance(api, tailscale.Tailscale)
    carry_out(api, job.wish, lambda change: edge(pushers.record_prepared, job=job, change=change))
    # and here it is killed: nothing more is written down
    assert pusher.push_due() == 0  # its lease runs
    clock.advance(minutes=4)
    assert pusher.push_due() == 1
    assert len(there.written) == 1
    found = pushed(asked.id)
    assert found.status is PushStatus.DONE
    do(push.undo, push_id=asked.id)  # what it was before is not lost
    pusher.push_due()
    assert there.policy == DEFAULT_POLICY
    with pytest.raises(LeaseLost):
        edge(
            pushers.record_prepared,
            job=job,
            change=pushers.Change("", "", "0" * 64),
        )


def test_undo_puts_the_part_back_and_stops_pushing(
    do: Edge,
    edge: Edge,
    pusher: Pusher,
    link: Link,
    pushed: Pushed,
    there: Tailscale,
    link_now,
) -> None:
    own = """{
\t"derpMap": {
\t\t// my own relay
\t\t"Regions": {"905": {"RegionID": 905, "RegionCode": "own", "RegionName": "Own", "Nodes": [
\t\t\t{"Name": "905a", "RegionID": 905, "HostName": "derp.example.com"}]}},
\t},
}
"""
    there.policy = own
    link(is_automatic=True)
    push_id = preview_and_push(do, pusher)
    assert set(regions(there)) == {"905", "931", "932", "933"}
    there.policy = there.policy.replace("{\n", '{\n\t"groups": {"group:new": []},\n', 1)
    undone = do(push.undo, push_id=push_id)
    assert undone.kind is PushKind.UNDO
    listening(pusher).push_due()
    assert pushed(undone.id).status is PushStatus.DONE
    assert there.policy == own.replace("{\n", '{\n\t"groups": {"group:new": []},\n', 1)
    assert not link_now().is_automatic
    assert len(events(edge, "acl.push_undone")) == 1
    with pytest.raises(NothingToUndo):
        do(push.undo, push_id=push_id)
    with pytest.raises(NothingToUndo):
        do(push.undo, push_id=undone.id)


def test_undo_does_not_lose_what_came_after(
    do: Edge, pusher: Pusher, link: Link, pushed: Pushed, there: Tailscale
) -> None:
    link()
    push_id = preview_and_push(do, pusher)
    there.policy = there.policy.replace('"OmitDefaultRegions": false', '"OmitDefaultRegions": true')
    before = there.policy
    undone = do(push.undo, push_id=push_id)
    pusher.push_due()
    assert pushed(undone.id).status is PushStatus.FAILED
    assert pushed(undone.id).error == "push.changed_since"
    assert there.policy == before


def test_every_new_version_is_pushed_by_itself_after_the_first(
    do: Edge, edge: Edge, pusher: Pusher, link: Link, there: Tailscale, follow, next_version
) -> None:
    link(is_automatic=True)
    next_version()
    follow("tailnets.")
    assert there.written == []  # nothing without the first one by hand
    preview_and_push(do, pusher)
    before = regions(there)
    next_version()
    follow("tailnets.")
    assert len(there.written) == 2
    after = regions(there)
    assert set(after) == set(before)
    ports = {key: one["Nodes"][0]["DERPPort"] for key, one in before.items()}
    assert {key: one["Nodes"][0]["DERPPort"] for key, one in after.items()} == {
        key: port + 100 for key, port in ports.items()
    }


def test_a_version_that_nobody_told_of_is_found(
    do: Edge,
    edge: Edge,
    pusher: Pusher,
    link: Link,
    there: Tailscale,
    next_version,
    statements: list[str],
) -> None:
    link(is_automatic=True)
    preview_and_push(do, pusher)
    assert edge(push.push_missing) == 0
    next_version()
    statements.clear()
    assert edge(push.push_missing) == 1
    assert len(statements) <= 9
    assert edge(push.push_missing) == 0  # one is under way
    pusher.push_due()
    assert len(there.written) == 2
    statements.clear()
    assert edge(push.push_missing) == 0
    assert len(statements) <= 3


def test_an_automatic_push_that_failed_rests(
    do: Edge,
    edge: Edge,
    pusher: Pusher,
    link: Link,
    there: Tailscale,
    next_version,
    clock: MovableClock,
    follow,
    mails,
    carl: Person,
) -> None:
    link(is_automatic=True)
    preview_and_push(do, pusher)
    next_version()
    there.failing_tests = ["want: Drop, got: Accept"]
    follow("tailnets.")
    assert edge(push.push_missing) == 0
    [mail] = [one for one in mails(carl.email) if one.template == "push_failed"]
    assert "want: Drop, got: Accept" in mail.text
    assert "Tailscale 不接受" in mail.text
    there.failing_tests = []
    clock.advance(hours=7)
    assert edge(push.push_missing) == 1
    pusher.push_due()
    assert len(there.written) == 2


def test_the_newest_version_is_pushed_whatever_was_asked(
    do: Edge, pusher: Pusher, link: Link, pushed: Pushed, there: Tailscale, next_version
) -> None:
    link()
    preview_and_push(do, pusher)
    asked = do(push.ask)
    newest = next_version()
    pusher.push_due()
    assert pushed(asked.id).version_id == newest.id


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ('{"derpMap": [}', "policy.syntax"),
        (OWN_931, "region.clash"),
    ],
)
def test_what_is_in_the_way_is_named_and_nothing_is_written(
    do: Edge, pusher: Pusher, link: Link, pushed: Pushed, there: Tailscale, policy: str, code: str
) -> None:
    there.policy = policy
    link()
    asked = do(push.preview)
    pusher.push_due()
    failed = pushed(asked.id)
    assert (failed.status, failed.error) == (PushStatus.FAILED, "push.policy_unfit")
    assert json.loads(failed.error_params or "")["findings"] == [code]
    assert there.written == []


def test_an_ended_rental_is_not_pushed(
    do: Edge,
    edge: Edge,
    pusher: Pusher,
    link: Link,
    pushed: Pushed,
    there: Tailscale,
    rental: Rental,
) -> None:
    link()
    preview_and_push(do, pusher)
    asked = do(push.ask)
    edge(rentals.end, rental_id=rental.id, reason="test")
    pusher.push_due()
    assert pushed(asked.id).error == "push.no_acl"
    assert len(there.written) == 1


def test_too_many_requests_are_waited_out(
    do: Edge,
    pusher: Pusher,
    link: Link,
    pushed: Pushed,
    there: Tailscale,
    clock: MovableClock,
    link_now,
) -> None:
    link()
    preview_and_push(do, pusher)
    there.faults.append(Fault("GET", Reply(429, {"message": "slow down"}, {"Retry-After": "300"})))
    asked = do(push.ask)
    pusher.push_due()
    assert pushed(asked.id).error == "link.rate_limited"
    assert link_now().status is LinkStatus.TROUBLED
    asked_so_far = len(there.asked)
    clock.advance(seconds=299)
    pusher.push_due()
    assert len(there.asked) == asked_so_far
    clock.advance(seconds=2)
    pusher.push_due()
    assert pushed(asked.id).status is PushStatus.UNCHANGED
    assert link_now().status is LinkStatus.WORKING


def test_a_push_is_given_up_after_a_day(
    do: Edge, pusher: Pusher, link: Link, pushed: Pushed, there: Tailscale, clock: MovableClock
) -> None:
    link()
    preview_and_push(do, pusher)
    asked = do(push.ask)
    tries = 0
    while pushed(asked.id).status is PushStatus.QUEUED:
        there.faults.append(Fault("GET", Reply(500)))
        tries += pusher.push_due()
        clock.advance(minutes=61)
    assert 20 <= tries <= 30
    assert pushed(asked.id).status is PushStatus.FAILED
    do(push.ask)  # the way is free again


def test_one_thing_at_a_time_happens_to_a_policy(
    do: Edge, pusher: Pusher, link: Link, pushed: Pushed, there: Tailscale
) -> None:
    link()
    preview_and_push(do, pusher)
    asked = do(push.ask)
    with pytest.raises(PushUnderWay):
        do(push.ask)
    do(push.preview)  # looks only
    do(push.cancel, push_id=asked.id)
    pusher.push_due()
    assert pushed(asked.id).status is PushStatus.CANCELLED


def test_two_workers_take_a_push_once(do: Edge, edge: Edge, pusher: Pusher, link: Link) -> None:
    link()
    do(push.preview)
    assert edge(pushers.lease_next) is not None
    assert edge(pushers.lease_next) is None


def test_slow_answers_hold_up_few_workers(
    do: Edge, edge: Edge, pusher: Pusher, link: Link, clock: MovableClock
) -> None:
    link()
    for _ in range(pushers.SENDERS + 1):
        do(push.preview)
    for _ in range(pushers.SENDERS):
        assert edge(pushers.lease_next) is not None
    assert edge(pushers.lease_next) is None
    clock.advance(minutes=4)
    assert edge(pushers.lease_next) is not None


def test_another_customer_sees_no_push_of_carls(
    do: Edge, edge_of, pusher: Pusher, link: Link, eve: Person
) -> None:
    link()
    push_id = preview_and_push(do, pusher)
    for verb in (push.undo, push.cancel):
        with pytest.raises((PushNotFound, service.LinkNotFound)):
            edge_of(eve.actor)(verb, push_id=push_id)


def test_what_was_kept_of_a_policy_is_sealed_and_goes_with_the_link(
    do: Edge, edge: Edge, pusher: Pusher, link: Link, pushed: Pushed, there: Tailscale
) -> None:
    link_id = link()
    push_id = preview_and_push(do, pusher)
    kept = pushed(push_id)
    assert "931" not in (kept.diff or "")
    assert there.client_secret not in sealed_secret(edge, link_id)
    waiting = do(push.ask)
    do(service.remove)
    assert pushed(push_id).diff is None
    assert pushed(push_id).former is None
    assert pushed(waiting.id).status is PushStatus.CANCELLED
    with edge.sessions.reading() as session:
        assert session.scalars(select(TailnetLink)).all() == []


def test_a_change_of_the_credential_wants_a_look_again(
    do: Edge, pusher: Pusher, link: Link, there: Tailscale
) -> None:
    link(is_automatic=True)
    preview_and_push(do, pusher)
    there.client_id, there.client_secret = "kOther", "tskey-client-other"
    facts = LinkFacts(
        kind=LinkKind.TAILSCALE,
        client_id="kOther",
        secret="tskey-client-other",
        wants_push=True,
        is_automatic=True,
    )
    do(service.change, facts=facts, outgoing=ANY)
    with pytest.raises(PreviewFirst):
        do(push.ask)


def test_a_hanging_server_is_not_waited_for(
    do: Edge, pusher: Pusher, link: Link, pushed: Pushed, there: Tailscale
) -> None:
    link()
    asked = do(push.preview)
    there.faults.append(Fault(hang=5))
    replace(pusher, outgoing=IMPATIENT).push_due()
    assert pushed(asked.id).error == "link.no_answer"
    assert pushed(asked.id).status is PushStatus.QUEUED


def test_a_push_is_evidence_of_the_version_in_use(
    do: Edge, edge: Edge, pusher: Pusher, link: Link, follow, carl: Person
) -> None:
    link()
    push_id = preview_and_push(do, pusher)
    follow("acl.")
    known = edge.read(usage.of, user_id=carl.id)
    assert known is not None
    assert (known.version_id, known.evidence) == (known.current_id, Evidence.PUSHED)
    do(push.undo, push_id=push_id)
    pusher.push_due()
    follow("acl.")
    known = edge.read(usage.of, user_id=carl.id)
    assert known is not None
    assert known.version_id is None
