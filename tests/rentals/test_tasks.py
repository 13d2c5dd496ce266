from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select, update

from derpman.kit.outbox import Delivery, DeliveryStatus
from derpman.kit.work import Edge
from derpman.rentals import service
from derpman.serials.models import Serial
from derpman.wiring import System
from derpman.worker import celery_app
from tests.conftest import MovableClock, Person, QueuedMail
from tests.rentals.conftest import Activate, NewCode

Mails = Callable[[str], list[QueuedMail]]
Follow = Callable[..., None]


def test_customer_is_told_once_what_he_has_now(
    edge: Edge,
    servers: list[int],
    carl: Person,
    activate: Activate,
    follow: Follow,
    mails: Mails,
):
    activate(carl)
    follow("rentals.")
    edge(
        lambda work: work.session.execute(  # as if its end had been lost
            update(Delivery)
            .where(Delivery.event == "rental.activated")
            .values(status=DeliveryStatus.SENT, due_at=work.now)
        )
    )
    follow("rentals.")
    [mail] = mails(carl.email)
    assert (mail.template, mail.locale) == ("rental_activated", "zh-CN")
    assert "203.0.113.1" in mail.text


def test_customer_is_told_why_his_rental_ended(
    edge: Edge,
    servers: list[int],
    carl: Person,
    activate: Activate,
    follow: Follow,
    mails: Mails,
):
    activate(carl)
    edge(service.end_of_user, user_id=carl.id, reason="asked for it")
    follow("rentals.")
    [mail] = mails(carl.email)  # that it began needs no telling any more
    assert mail.template == "rental_ended"
    assert "asked for it" in mail.text


def test_user_is_told_of_suspension_and_reinstatement(
    edge: Edge, carl: Person, follow: Follow, mails: Mails
):
    edge(service.suspend_user, user_id=carl.id, reason="unpaid bill")
    follow("rentals.")
    edge(service.reinstate_user, user_id=carl.id)
    follow("rentals.")
    told = mails(carl.email)
    assert [mail.template for mail in told] == ["user_suspended", "user_reinstated"]
    assert "unpaid bill" in told[0].text


def test_sweeps_end_what_is_due(
    system: System,
    edge: Edge,
    servers: list[int],
    clock: MovableClock,
    carl: Person,
    activate: Activate,
    new_code: NewCode,
):
    activate(carl)
    new_code()
    clock.advance(days=30)
    app = celery_app(system)
    app.loader.import_default_modules()
    app.tasks["rentals.end_expired"]()
    app.tasks["serials.expire_unused"]()
    assert edge.read(service.open_rental, carl.id) is None
    statuses = edge.read(lambda work: list(work.session.scalars(select(Serial.status))))
    assert sorted(statuses) == ["expired", "used"]
