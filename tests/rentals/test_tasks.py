from __future__ import annotations

from collections.abc import Callable

import pytest
from celery import Celery
from sqlalchemy import select

from derpman.kit.outbox import Delivery
from derpman.kit.work import Edge
from derpman.notifications.models import Mail
from derpman.rentals import service
from derpman.serials.models import Serial
from derpman.wiring import System
from derpman.worker import celery_app
from tests.conftest import MovableClock, Person
from tests.rentals.conftest import Activate, NewCode


@pytest.fixture
def app(system: System) -> Celery:
    app = celery_app(system)
    app.loader.import_default_modules()
    return app


@pytest.fixture
def deliver(app: Celery, edge: Edge) -> Callable[[str], None]:
    """Run the handlers of an event's deliveries, each twice: a message may come again."""

    def run(name: str) -> None:
        found = select(Delivery.handler, Delivery.id).where(Delivery.event == name)
        deliveries = edge.read(lambda work: work.session.execute(found).all())
        assert deliveries
        for handler, delivery_id in deliveries:
            for _ in range(2):
                app.tasks[handler](delivery_id)

    return run


def mails(edge: Edge, address: str) -> list[Mail]:
    found = select(Mail).where(Mail.address == address).order_by(Mail.id)
    return edge.read(lambda work: list(work.session.scalars(found)))


def test_customer_is_told_once_what_he_has_now(
    edge: Edge,
    servers: list[int],
    carl: Person,
    activate: Activate,
    deliver: Callable[[str], None],
):
    activate(carl)
    deliver("rental.activated")
    [mail] = mails(edge, carl.email)
    assert (mail.template, mail.locale, mail.user_id) == ("rental_activated", "zh-CN", carl.id)
    assert "203.0.113.1" in mail.text


def test_customer_is_told_why_his_rental_ended(
    edge: Edge,
    servers: list[int],
    carl: Person,
    activate: Activate,
    deliver: Callable[[str], None],
):
    activate(carl)
    edge(service.end_of_user, user_id=carl.id, reason="asked for it")
    deliver("rental.ended")
    [mail] = mails(edge, carl.email)
    assert mail.template == "rental_ended"
    assert "asked for it" in mail.text
    deliver("rental.activated")  # late: there is nothing to tell any more
    assert len(mails(edge, carl.email)) == 1


def test_user_is_told_of_suspension_and_reinstatement(
    edge: Edge, carl: Person, deliver: Callable[[str], None]
):
    edge(service.suspend_user, user_id=carl.id, reason="unpaid bill")
    deliver("user.suspended")
    edge(service.reinstate_user, user_id=carl.id)
    deliver("user.reinstated")
    told = mails(edge, carl.email)
    assert [mail.template for mail in told] == ["user_suspended", "user_reinstated"]
    assert "unpaid bill" in told[0].text


def test_sweeps_end_what_is_due(
    app: Celery,
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
    app.tasks["rentals.end_expired"]()
    app.tasks["serials.expire_unused"]()
    assert edge.read(service.open_rental, carl.id) is None
    statuses = edge.read(lambda work: list(work.session.scalars(select(Serial.status))))
    assert sorted(statuses) == ["expired", "used"]
