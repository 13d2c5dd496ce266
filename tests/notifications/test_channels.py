"""Operators' channels: signed, retried, never in anybody's way, and silent about their secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from derpman.kit.outgoing import Outgoing
from derpman.kit.work import Edge, Role
from derpman.notifications import channels, parcels, robots
from derpman.notifications.channels import ChannelFacts
from derpman.notifications.courier import Courier
from derpman.notifications.errors import ChannelNameTaken, ChannelNotFound, ChannelWrong
from derpman.notifications.models import Channel, ChannelMessage
from derpman.notifications.states import ChannelKind, MessageStatus
from derpman.notifications.topics import TOPICS
from derpman.wiring import SUBSCRIPTIONS
from tests.notifications.queueing import at_once
from tests.system.channels import DINGTALK_SECRET, WEBHOOK_SECRET, Receivers

ANY = Outgoing(allow_private=True, timeout=2)


@pytest.fixture
def receivers(clock) -> Iterator[Receivers]:
    with Receivers(clock=clock) as receivers:
        yield receivers


@pytest.fixture
def courier(edge: Edge) -> Courier:
    return Courier(edge, ANY)


def webhook(receivers: Receivers, **more: object) -> ChannelFacts:
    facts = ChannelFacts(
        name="pager",
        kind=ChannelKind.WEBHOOK,
        locale="en",
        topics=["alert", "rental.ended"],
        min_severity="info",
        is_enabled=True,
        url=receivers.webhook_url,
        secret=WEBHOOK_SECRET,
    )
    return replace(facts, **more)  # pyright: ignore[reportArgumentType] # of any field


def wecom(receivers: Receivers, **more: object) -> ChannelFacts:
    own = {"name": "wecom", "kind": ChannelKind.WECOM, "url": receivers.wecom_url, "secret": None}
    return webhook(receivers, **own, **more)


def dingtalk(receivers: Receivers, **more: object) -> ChannelFacts:
    own = {
        "name": "ding",
        "kind": ChannelKind.DINGTALK,
        "url": receivers.dingtalk_url,
        "secret": DINGTALK_SECRET,
        "locale": "zh-CN",
    }
    return webhook(receivers, **own, **more)


def add(edge: Edge, facts: ChannelFacts) -> int:
    return edge(channels.add, facts=facts, outgoing=ANY).id


def announce(edge: Edge, message: str = "disk full", severity: str = "warning") -> None:
    facts = {"message": message}
    edge(channels.announce, topic="alert", facts=facts, severity=severity)


def statuses(edge: Edge) -> list[MessageStatus]:
    with edge.sessions.reading() as session:
        return list(session.scalars(select(ChannelMessage.status).order_by(ChannelMessage.id)))


def channel(edge: Edge) -> Channel:
    with edge.sessions.reading() as session:
        return session.scalars(select(Channel)).one()


def test_a_webhook_is_told_once_and_signed(edge: Edge, courier: Courier, receivers: Receivers):
    add(edge, webhook(receivers))
    edge(channels.announce, topic="rental.ended", facts={"rental_id": 5, "user_id": 3})
    assert courier.send_due() == 1
    assert courier.send_due() == 0
    (told,) = receivers.told
    assert told.content["type"] == "rental.ended"
    assert told.content["data"] == {"rental_id": 5, "user_id": 3}
    assert told.text == "Rental 5 of user 3 ended"
    assert told.key.startswith("msg_")
    assert statuses(edge) == [MessageStatus.SENT]


def test_a_wrong_secret_is_noticed(edge: Edge, courier: Courier, receivers: Receivers):
    add(edge, webhook(receivers, secret="quite another secret"))
    announce(edge)
    assert courier.send_due() == 0
    assert receivers.refused == ["signature"]
    assert channel(edge).error == "the answer was 401"


def test_robots_are_told_in_their_language(edge: Edge, courier: Courier, receivers: Receivers):
    add(edge, wecom(receivers))
    add(edge, dingtalk(receivers))
    edge(channels.announce, topic="rental.ended", facts={"rental_id": 5, "user_id": 3})
    assert courier.send_due() == 2
    assert {told.kind: told.text for told in receivers.told} == {
        "wecom": "Rental 5 of user 3 ended",
        "dingtalk": "用户 3 的租赁 5 已结束",
    }
    assert receivers.refused == []


def test_dingtalks_documented_signature():
    """Checked against the steps of its documentation, done by hand with openssl."""
    now = datetime.fromtimestamp(1577808000.123, UTC)
    signed = robots.dingtalk_signature("SECtest", now)
    assert signed == {
        "timestamp": "1577808000123",
        "sign": "CIvb0dzzVMlPKSQC5rqmOupGv+k/tacbLKBsUlIITeg=",
    }


def test_many_messages_are_one_to_a_robot(edge: Edge, courier: Courier, receivers: Receivers):
    add(edge, wecom(receivers))
    for number in range(50):
        announce(edge, f"alert number {number}")
    assert courier.send_due() == 20
    assert len(receivers.told) == 1
    assert receivers.told[0].text.startswith("alert number 0\n\nalert number 1\n\n")
    assert courier.send_due() == 0, "a robot takes 20 messages a minute"


def test_a_robot_takes_what_it_can_hold(edge: Edge, courier: Courier, receivers: Receivers, clock):
    add(edge, wecom(receivers))
    for length in (300, 300, 900, 20):
        announce(edge, "警" * length)
    sent = []
    for _ in range(5):
        sent.append(courier.send_due())
        clock.advance(seconds=3)
    assert sent == [2, 1, 1, 0, 0]
    assert [len(told.text) for told in receivers.told] == [602, 682, 20]
    assert receivers.told[1].text.endswith("警…")
    assert receivers.refused == []


def test_a_storm_stays_below_a_robots_limit(
    edge: Edge, courier: Courier, receivers: Receivers, clock
):
    add(edge, dingtalk(receivers))
    for number in range(600):
        announce(edge, f"alert number {number}")
    for _ in range(40):
        courier.send_due()
        clock.advance(seconds=3)
    assert statuses(edge) == [MessageStatus.SENT] * 600
    assert receivers.refused == []
    text = "\n\n".join(told.text for told in receivers.told)
    assert text == "\n\n".join(f"alert number {number}" for number in range(600))


def test_only_what_was_chosen_is_told(edge: Edge, receivers: Receivers):
    add(edge, webhook(receivers, min_severity="warning"))
    add(edge, wecom(receivers, topics=["rental.ended"]))
    add(edge, dingtalk(receivers, is_enabled=False))
    announce(edge, severity="info")
    assert statuses(edge) == []
    announce(edge, severity="warning")
    edge(channels.announce, topic="user.suspended", facts={"user_id": 1})
    assert len(statuses(edge)) == 1


def test_away_and_back_again(edge: Edge, courier: Courier, receivers: Receivers, clock):
    add(edge, webhook(receivers))
    announce(edge, "first")
    announce(edge, "second")
    receivers.status = 503
    tries = 0
    for _ in range(20):
        before = len(receivers.refused)
        courier.send_due()
        tries += len(receivers.refused) - before
        clock.advance(seconds=15)
    failing = channel(edge)
    assert failing.failures == 5  # at 0, 15, 45, 105 and 225 seconds
    assert failing.failing_since == datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
    receivers.status = 200
    clock.advance(minutes=10)
    assert courier.send_due() == 2
    assert [told.text for told in receivers.told] == ["first", "second"]
    mended = channel(edge)
    assert (mended.failures, mended.failing_since, mended.error) == (0, None, None)


def test_a_channel_that_fails_holds_up_no_other(edge: Edge, courier: Courier, receivers: Receivers):
    add(edge, webhook(receivers, name="a", url="http://127.0.0.1:1/nobody"))
    add(edge, webhook(receivers, name="b", url=receivers.webhook_url + "&b"))
    for _ in range(3):
        announce(edge)
    assert courier.send_due() == 3


def test_one_that_hangs_is_given_up(edge: Edge, receivers: Receivers):
    add(edge, webhook(receivers))
    announce(edge)
    receivers.delay = 1.0
    assert Courier(edge, replace(ANY, timeout=0.2)).send_due() == 0
    assert channel(edge).error == "no answer in time"


def test_what_nobody_took_for_a_day_is_given_up_and_told_again_on_demand(
    edge: Edge, courier: Courier, receivers: Receivers, clock
):
    add(edge, webhook(receivers))
    announce(edge, "old")
    receivers.status = 500
    clock.advance(hours=25)
    announce(edge, "new")
    courier.send_due()
    assert statuses(edge) == [MessageStatus.REFUSED, MessageStatus.QUEUED]
    receivers.status = 200
    with edge.sessions.reading() as session:
        message_id = session.scalars(select(ChannelMessage.id).order_by(ChannelMessage.id)).first()
    assert message_id is not None
    edge(channels.requeue, message_id=message_id)
    clock.advance(minutes=1)
    assert courier.send_due() == 2


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_message_that_is_refused_holds_up_no_other(
    edge: Edge, courier: Courier, receivers: Receivers, status: int
):
    add(edge, webhook(receivers))
    announce(edge)
    receivers.status = status
    courier.send_due()
    assert statuses(edge) == [MessageStatus.REFUSED]
    assert channel(edge).failing_since is None
    receivers.status = 200
    announce(edge)
    assert courier.send_due() == 1


@pytest.mark.parametrize(
    "answer", [{"errcode": 93000, "errmsg": "invalid webhook url"}, {"errcode": 45009}]
)
def test_a_robots_no_is_kept_with_its_words(
    edge: Edge, courier: Courier, receivers: Receivers, answer: dict
):
    add(edge, wecom(receivers))
    announce(edge)
    receivers.robot_answer = answer
    assert courier.send_due() == 0
    assert channel(edge).error == f"{answer['errcode']} {answer.get('errmsg', '')}".strip()
    assert statuses(edge) == [MessageStatus.QUEUED]


def test_killed_between_telling_and_recording_the_key_is_the_same(
    edge: Edge, courier: Courier, receivers: Receivers, clock, monkeypatch: pytest.MonkeyPatch
):
    class Killed(BaseException):
        pass

    def die(*_args, **_kwargs):
        raise Killed

    add(edge, webhook(receivers))
    announce(edge)
    with monkeypatch.context() as patch:
        patch.setattr(parcels, "accept", die)
        with pytest.raises(Killed):
            courier.send_due()
    clock.advance(seconds=59)
    assert courier.send_due() == 0
    clock.advance(seconds=2)
    assert courier.send_due() == 1
    first, second = receivers.told
    assert first.key == second.key


def test_two_workers_at_once_tell_each_message_once(edge: Edge, receivers: Receivers):
    for number in range(4):
        add(edge, webhook(receivers, name=f"hook {number}"))
    for _ in range(4):
        announce(edge)
    at_once(3, Courier(edge, ANY).send_due)
    Courier(edge, ANY).send_due()
    assert len(receivers.told) == 16
    assert len({told.key for told in receivers.told}) == 16


def test_a_lease_that_ran_out_changes_nothing_any_more(edge: Edge, receivers: Receivers, clock):
    add(edge, webhook(receivers))
    announce(edge)
    slow = edge(parcels.lease_next)
    clock.advance(seconds=61)
    quick = edge(parcels.lease_next)
    assert slow is not None
    assert quick is not None
    edge(parcels.fail, channel_id=slow.channel_id, attempt=slow.attempt, reason="late")
    assert channel(edge).leased_until is not None
    edge(parcels.accept, parcel=quick)
    assert channel(edge).failures == 0
    assert statuses(edge) == [MessageStatus.SENT]


def test_addresses_inside_are_not_asked(edge: Edge, receivers: Receivers):
    add(edge, webhook(receivers))
    announce(edge)
    assert Courier(edge, Outgoing()).send_due() == 0
    assert receivers.told == []
    assert channel(edge).error == "the address leads into a network that is not public"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"url": "http://hook.example/"}, "url"),
        ({"url": "ftp://hook.example/"}, "url"),
        ({"url": "https://a:b@hook.example/"}, "url"),
        ({"url": None}, "url"),
        ({"secret": None}, "secret"),
        ({"secret": "short"}, "secret"),
        ({"secret": "whsec_c2hvcnQ="}, "secret"),
        ({"secret": "whsec_no base64 at all!"}, "secret"),
        ({"kind": ChannelKind.WECOM}, "secret"),
    ],
)
def test_what_cannot_work_is_refused(edge: Edge, receivers: Receivers, more: dict, field: str):
    facts = webhook(receivers, **{"url": "https://hook.example/", **more})
    with pytest.raises(ChannelWrong) as refused:
        edge(channels.add, facts=facts, outgoing=Outgoing())
    assert refused.value.params["field"] == field


def test_editing_keeps_what_is_not_given(edge: Edge, courier: Courier, receivers: Receivers, clock):
    channel_id = add(edge, webhook(receivers, url="http://127.0.0.1:1/nobody"))
    announce(edge)
    courier.send_due()
    facts = webhook(receivers, secret=None, name="renamed")
    edge(channels.edit, channel_id=channel_id, facts=facts, outgoing=ANY)
    assert courier.send_due() == 1, "what waited goes the new way, at once"
    with pytest.raises(ChannelWrong):
        edge(channels.edit, channel_id=channel_id, facts=wecom(receivers), outgoing=ANY)
    add(edge, wecom(receivers))
    taken = webhook(receivers, name="wecom")
    with pytest.raises(ChannelNameTaken):
        edge(channels.edit, channel_id=channel_id, facts=taken, outgoing=ANY)


def test_a_test_is_told_also_while_switched_off(edge: Edge, courier: Courier, receivers: Receivers):
    channel_id = add(edge, webhook(receivers))
    announce(edge)
    off = webhook(receivers, is_enabled=False)
    edge(channels.edit, channel_id=channel_id, facts=off, outgoing=ANY)
    edge(channels.test, channel_id=channel_id)
    assert courier.send_due() == 1
    assert "test of the channel “pager”" in receivers.told[0].text
    assert statuses(edge) == [MessageStatus.QUEUED, MessageStatus.SENT]


def test_removed_with_all_that_waits(edge: Edge, courier: Courier, receivers: Receivers):
    channel_id = add(edge, webhook(receivers))
    announce(edge)
    parcel = edge(parcels.lease_next)
    assert parcel is not None
    edge(channels.remove, channel_id=channel_id)
    edge(parcels.accept, parcel=parcel)
    edge(parcels.fail, channel_id=channel_id, attempt=parcel.attempt, reason="late")
    assert courier.send_due() == 0
    assert statuses(edge) == []
    with pytest.raises(ChannelNotFound):
        edge(channels.remove, channel_id=channel_id)


def test_old_messages_are_forgotten(edge: Edge, courier: Courier, receivers: Receivers, clock):
    add(edge, webhook(receivers))
    announce(edge)
    courier.send_due()
    clock.advance(days=89)
    announce(edge)
    assert edge(channels.purge) == 0
    clock.advance(days=2)
    assert edge(channels.purge) == 1
    assert statuses(edge) == [MessageStatus.QUEUED]


def test_every_topic_is_wired():
    wired = {name for name, tasks in SUBSCRIPTIONS.items() if "notifications.announce" in tasks}
    assert wired == TOPICS.keys() - {"alert"}


# -- over HTTP ------------------------------------------------------------------------------


@pytest.fixture
def body() -> dict:
    return {
        "name": "pager",
        "kind": "webhook",
        "locale": "en",
        "topics": ["alert"],
        "min_severity": "warning",
        "url": "https://hook.example/in?token=hidden",
        "secret": WEBHOOK_SECRET,
    }


def test_only_super_admins_touch_channels(client, root, person, eve, body: dict):
    admin = person("anna", Role.ADMIN)
    base = "/api/notifications/channels"
    for method, path in (
        ("GET", base),
        ("POST", base),
        ("POST", f"{base}/1"),
        ("POST", f"{base}/1/test"),
        ("POST", f"{base}/1/remove"),
        ("GET", f"{base}/1/messages"),
        ("POST", f"{base}/messages/1/requeue"),
    ):
        for somebody in (admin, eve):
            refused = client.request(method, path, json=body, headers=somebody.headers)
            assert refused.status_code == 403


def test_secrets_go_in_and_never_come_out(client, root, edge: Edge, body: dict):
    base = "/api/notifications/channels"
    added = client.post(base, json=body, headers=root.headers)
    assert added.status_code == 200
    channel_id = added.json()["channel"]["id"]
    shown = client.get(base, headers=root.headers)
    logged = client.get("/api/logs/system", headers=root.headers)
    for answer in (added, shown, logged):
        assert "hidden" not in answer.text
        assert WEBHOOK_SECRET not in answer.text
    assert shown.json()["channels"][0]["host"] == "hook.example"
    assert shown.json()["channels"][0]["has_secret"] is True
    assert shown.json()["topics"] == list(TOPICS)
    with edge.sessions.reading() as session:
        row = session.scalars(select(Channel)).one()
        assert "hidden" not in row.url
        assert WEBHOOK_SECRET not in (row.secret or "")
    tested = client.post(f"{base}/{channel_id}/test", headers=root.headers).json()
    assert tested["message"]["status"] == "queued"
    listed = client.get(f"{base}/{channel_id}/messages?status=queued", headers=root.headers).json()
    assert [one["id"] for one in listed["messages"]] == [tested["message"]["id"]]
    early = client.post(f"{base}/messages/{tested['message']['id']}/requeue", headers=root.headers)
    assert early.status_code == 409
    changed = {name: value for name, value in body.items() if name not in ("url", "secret")}
    edited = client.post(f"{base}/{channel_id}", json=changed, headers=root.headers).json()
    assert edited["channel"]["host"] == "hook.example"
    assert client.post(f"{base}/{channel_id}/remove", headers=root.headers).json()["success"]
    assert client.get(f"{base}/{channel_id}/messages", headers=root.headers).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"topics": ["nothing"]},
        {"kind": "pigeon"},
        {"url": "http://127.0.0.1/"},
        {"secret": "x"},
        {"min_severity": "mild"},
        {"more": 1},
    ],
)
def test_wrong_channels_are_refused_in_our_shape(client, root, body: dict, wrong: dict):
    refused = client.post(
        "/api/notifications/channels", json={**body, **wrong}, headers=root.headers
    )
    assert refused.status_code == 422
    assert refused.json()["success"] is False
    assert WEBHOOK_SECRET not in refused.text


def test_from_an_event_to_the_channel(
    edge: Edge, system, follow, receivers: Receivers, clock, monkeypatch: pytest.MonkeyPatch
):
    from derpman.alerts import service as alerts
    from derpman.alerts.models import Severity
    from derpman.notifications import tasks

    monkeypatch.setattr(tasks, "Outgoing", lambda allow_private: ANY)
    add(edge, webhook(receivers))
    edge(
        alerts.raise_alert,
        alert_type="mail_waiting",
        severity=Severity.CRITICAL,
        params={"count": 3, "error": "away"},
    )
    follow("alerts.", "notifications.tell")
    edge(alerts.resolve_alert, alert_type="mail_waiting")
    follow("alerts.", "notifications.tell")
    raised, over = receivers.told
    assert raised.text.startswith("[Critical] 3 mails have waited")
    assert raised.content["data"]["severity"] == "critical"
    assert over.text.startswith("[Resolved] 3 mails have waited")
    assert over.content["data"]["alert_id"] == raised.content["data"]["alert_id"]
    assert json.dumps(over.content)


def test_a_channel_that_fails_is_an_alert_until_it_works(
    edge: Edge, courier: Courier, receivers: Receivers, clock
):
    from derpman.alerts import announcing
    from derpman.alerts.models import SystemAlert

    def open_alerts() -> list[str]:
        edge(announcing.watch_channels)
        with edge.sessions.reading() as session:
            return list(session.scalars(select(SystemAlert.message).where(~SystemAlert.resolved)))

    add(edge, webhook(receivers))
    announce(edge)
    receivers.status = 500
    courier.send_due()
    assert open_alerts() == []
    clock.advance(minutes=6)
    assert open_alerts() == ["The channel “pager” takes no messages: the answer was 500"]
    receivers.status = 200
    courier.send_due()
    assert open_alerts() == []
