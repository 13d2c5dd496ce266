"""Queueing, counting, leasing, and recording how it ended."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from derpman.kit.errors import TooMany
from derpman.kit.outbox import Delivery
from derpman.kit.work import Edge, UnitOfWork
from derpman.notifications import service
from derpman.notifications.errors import MailLimit, MailNotFound
from derpman.notifications.models import Mail, MailAllowance
from derpman.notifications.states import MailStatus
from tests.notifications.queueing import (
    CODE,
    at_once,
    defer,
    lease,
    put_back,
    queue,
    refuse,
    stored,
    try_lease,
)

# -- queueing -------------------------------------------------------------------------------


def test_queued_mail_keeps_its_secrets_sealed(edge: Edge):
    mail = stored(edge, queue(edge).id)
    assert mail.status is MailStatus.QUEUED
    for column in (mail.subject, mail.text, mail.html, mail.secrets or ""):
        assert CODE not in column
        assert "t0ken" not in column


def test_queueing_leaves_a_delivery(edge: Edge, heard):
    mail = queue(edge)
    with edge.sessions.reading() as session:
        delivery = session.scalars(select(Delivery)).one()
    assert delivery.handler == "notifications.send"
    assert str(mail.id) in delivery.payload
    assert "deliveries" in heard.topics


def test_once_key_queues_once(edge: Edge):
    assert queue(edge, once_key="expiry:1:7") is not None
    again = edge(
        service.queue_mail,
        template="user_reinstated",
        address="carl@example.com",
        locale="en",
        params={"username": "carl"},
        once_key="expiry:1:7",
    )
    assert again is None


def test_once_key_queues_once_in_a_race(edge: Edge):
    def ask(work: UnitOfWork) -> None:
        service.queue_mail(
            work,
            template="user_reinstated",
            address="carl@example.com",
            locale="en",
            params={"username": "carl"},
            once_key="the-same",
        )

    at_once(8, lambda: edge(ask))
    with edge.sessions.reading() as session:
        assert len(session.scalars(select(Mail)).all()) == 1


def test_other_secrets_than_declared_are_a_bug(edge: Edge):
    with pytest.raises(ValueError, match="secrets"):
        edge(
            service.queue_mail,
            template="verify_address",
            address="carl@example.com",
            locale="en",
            params={"minutes": 30},
            secrets={"code": CODE},
        )


# -- the allowance --------------------------------------------------------------------------


def take(edge: Edge, address: str = "carl@example.com") -> None:
    edge(service.take_allowance, address_key=address)


def test_sixth_mail_in_ten_minutes_is_refused(edge: Edge, clock):
    for _ in range(5):
        take(edge)
        clock.advance(seconds=30)
    with pytest.raises(TooMany) as refusal:
        take(edge)
    assert refusal.value.retry_after_seconds == 600 - 5 * 30
    assert refusal.value.code == "notifications.mail_limit"
    take(edge, "other@example.com")


def test_retry_after_is_exact(edge: Edge, clock):
    for _ in range(5):
        take(edge)
        clock.advance(seconds=7.5)
    with pytest.raises(MailLimit) as refusal:
        take(edge)
    clock.advance(seconds=refusal.value.retry_after_seconds - 1)
    with pytest.raises(MailLimit):
        take(edge)
    clock.advance(seconds=1)
    take(edge)


def test_any_ten_minutes_hold_five_at_most(edge: Edge, clock):
    """Asked every 20 s for an hour, what passed never exceeds five in any window."""
    passed = []
    for _ in range(180):
        try:
            take(edge)
        except MailLimit:
            pass
        else:
            passed.append(clock.now)
        clock.advance(seconds=20)
    assert len(passed) == 30
    for first, sixth in zip(passed, passed[5:], strict=False):
        assert sixth - first >= timedelta(minutes=10)


def test_refusals_are_not_counted(edge: Edge, clock):
    for _ in range(5):
        take(edge)
    for _ in range(20):
        with pytest.raises(MailLimit):
            take(edge)
    clock.advance(minutes=10)
    take(edge)


def test_the_count_is_right_in_a_race(edge: Edge):
    refused = []

    def ask() -> None:
        try:
            take(edge)
        except MailLimit:
            refused.append(1)

    at_once(12, ask)
    assert len(refused) == 7


def test_old_counts_are_forgotten_and_young_ones_are_not(edge: Edge, clock):
    take(edge, "old@example.com")
    clock.advance(minutes=9)
    take(edge, "young@example.com")
    clock.advance(minutes=1)
    edge(service.purge_allowances)
    with edge.sessions.reading() as session:
        assert session.scalars(select(MailAllowance.address_key)).all() == ["young@example.com"]


# -- leasing --------------------------------------------------------------------------------


def test_lease_opens_the_secrets_and_completes_the_message_id(edge: Edge):
    queued = queue(edge)
    letter = lease(edge)
    assert letter.secrets == {"code": CODE, "token": "t0ken"}
    assert letter.message_id == f"{queued.message_id}@derp.example"
    assert CODE not in repr(letter)


def test_message_id_stays_when_the_domain_changes(edge: Edge, clock):
    queue(edge)
    first = lease(edge)
    clock.advance(minutes=2)
    second = lease(edge, "elsewhere.example")
    assert second.message_id == first.message_id


def test_a_leased_mail_is_not_taken_twice_until_the_lease_runs_out(edge: Edge, clock):
    queue(edge)
    first = lease(edge)
    assert try_lease(edge) is None
    clock.advance(seconds=61)
    second = lease(edge)
    assert second.mail_id == first.mail_id
    assert second.attempt == first.attempt + 1


def test_renewed_lease_holds(edge: Edge, clock):
    queue(edge)
    letter = lease(edge)
    for _ in range(3):
        clock.advance(seconds=45)
        edge(service.renew_lease, mail_id=letter.mail_id, attempt=letter.attempt)
        assert try_lease(edge) is None


def test_many_senders_at_once_take_each_mail_once(edge: Edge):
    for number in range(6):
        queue(edge, f"carl{number}@example.com")
    taken = []

    def work_off() -> None:
        for _ in range(20):
            letter = try_lease(edge)
            if letter is not None:
                taken.append(letter.mail_id)
                edge(service.accept, mail_id=letter.mail_id)

    at_once(4, work_off)
    assert len(taken) == len(set(taken)) == 6


def test_no_more_senders_than_allowed(edge: Edge):
    for number in range(4):
        queue(edge, f"carl{number}@example.com")
    letters = [try_lease(edge) for _ in range(4)]
    assert [letter is not None for letter in letters] == [True, True, False, False]


def test_oldest_due_goes_first(edge: Edge, clock):
    first = queue(edge)
    clock.advance(seconds=1)
    queue(edge, "eve@example.com")
    assert lease(edge).mail_id == first.id


def test_a_mail_whose_key_is_lost_is_refused_and_does_not_block(edge: Edge):
    lost = queue(edge)

    def spoil(work: UnitOfWork) -> None:
        service.mail_of(work, lost.id).secrets = "gAAAAA-not-ours"

    edge(spoil)
    next_one = queue(edge, "eve@example.com")
    assert lease(edge).mail_id == next_one.id
    assert stored(edge, lost.id).status is MailStatus.REFUSED


# -- how it ended ---------------------------------------------------------------------------


def test_accepted_mail_loses_its_secrets(edge: Edge, clock):
    queue(edge)
    letter = lease(edge)
    edge(service.accept, mail_id=letter.mail_id)
    mail = stored(edge, letter.mail_id)
    assert (mail.status, mail.secrets, mail.sent_at) == (MailStatus.SENT, None, clock.now)


def test_deferred_mail_waits_longer_each_time(edge: Edge, clock):
    queue(edge)
    waits = []
    for _ in range(9):
        letter = lease(edge)
        defer(edge, letter)
        mail = stored(edge, letter.mail_id)
        assert mail.status is MailStatus.QUEUED
        waits.append((mail.due_at - clock.now).total_seconds())
        assert try_lease(edge) is None
        clock.now = mail.due_at
    assert waits == [30, 60, 120, 300, 600, 1800, 3600, 3600, 3600]


def test_deferred_for_three_days_is_given_up(edge: Edge, clock):
    queue(edge)
    clock.advance(days=3)
    letter = lease(edge)
    defer(edge, letter)
    mail = stored(edge, letter.mail_id)
    assert mail.status is MailStatus.REFUSED
    assert mail.error == "given up: 451 later"


def test_a_server_that_is_away_counts_against_no_mail(edge: Edge, clock):
    mail_id = queue(edge).id
    clock.advance(days=30)
    for _ in range(10):
        put_back(edge, lease(edge))
        clock.advance(seconds=15)
    mail = stored(edge, mail_id)
    assert (mail.status, mail.deferrals) == (MailStatus.QUEUED, 0)


def test_a_sender_whose_lease_was_taken_cannot_record_a_failure(edge: Edge, clock):
    queue(edge)
    stale = lease(edge)
    clock.advance(seconds=61)
    fresh = lease(edge)
    refuse(edge, stale, "late")
    defer(edge, stale, "late")
    assert stored(edge, stale.mail_id).status is MailStatus.SENDING
    edge(service.accept, mail_id=fresh.mail_id)
    refuse(edge, fresh, "later still")
    assert stored(edge, fresh.mail_id).status is MailStatus.SENT


def test_a_yes_counts_whoever_brings_it(edge: Edge, clock):
    queue(edge)
    stale = lease(edge)
    clock.advance(seconds=61)
    fresh = lease(edge)
    defer(edge, fresh)
    edge(service.accept, mail_id=stale.mail_id)
    assert stored(edge, stale.mail_id).status is MailStatus.SENT


def test_what_a_server_says_is_kept_as_one_line(edge: Edge):
    queue(edge)
    letter = lease(edge)
    reason = "550 no\r\nsuch\x00 user" + "x" * 900
    refuse(edge, letter, reason)
    error = stored(edge, letter.mail_id).error
    assert error is not None
    assert error.startswith("550 no such user")
    assert len(error) == 500


def test_requeued_mail_has_three_days_again(edge: Edge, clock):
    queue(edge)
    letter = lease(edge)
    refuse(edge, letter)
    clock.advance(days=5)
    edge(service.requeue, mail_id=letter.mail_id)
    again = lease(edge)
    assert again.secrets["code"] == CODE
    defer(edge, again)
    assert stored(edge, again.mail_id).status is MailStatus.QUEUED


def test_unknown_mail_is_not_found(edge: Edge):
    with pytest.raises(MailNotFound):
        edge.read(service.mail_of, 12345)
