"""What Celery does with mails."""

from collections.abc import Callable

import pytest
from celery import Celery

from derpman.kit.outbox import Delivery, DeliveryStatus
from derpman.kit.work import Edge
from derpman.notifications.states import MailStatus
from derpman.wiring import SUBSCRIPTIONS, System
from derpman.worker import TIMETABLE, celery_app
from tests.notifications.queueing import queue, stored
from tests.system.smtp import Catcher


@pytest.fixture
def catcher():
    with Catcher() as catcher:
        yield catcher


@pytest.fixture
def app_of(system: System) -> Callable[[Catcher | None], Celery]:
    def make(catcher: Catcher | None) -> Celery:
        update = {"smtp_host": ""}
        if catcher is not None:
            update = {
                "smtp_host": "127.0.0.1",
                "smtp_port": catcher.port,
                "smtp_security": "none",
                "mail_from": "DERP <noreply@derp.example>",
            }
        settings = system.settings.model_copy(update=update)
        app = celery_app(System(settings, system.engine, system.vault, system.wake, system.clock))
        app.loader.import_default_modules()
        return app

    return make


def delivery_of(edge: Edge) -> Delivery:
    with edge.sessions.reading() as session:
        return session.query(Delivery).one()


def test_a_queued_mail_is_sent_by_its_delivery(edge: Edge, app_of, catcher: Catcher):
    mail = queue(edge)
    app_of(catcher).tasks["notifications.send"](delivery_of(edge).id)
    assert stored(edge, mail.id).status is MailStatus.SENT
    assert delivery_of(edge).status is DeliveryStatus.DONE
    assert len(catcher.messages) == 1


def test_a_delivery_that_comes_twice_sends_once(edge: Edge, app_of, catcher: Catcher):
    queue(edge)
    app = app_of(catcher)
    for _ in range(2):
        app.tasks["notifications.send"](delivery_of(edge).id)
    assert len(catcher.messages) == 1


def test_the_sweep_finds_what_no_delivery_brought(edge: Edge, app_of, catcher: Catcher):
    mail = queue(edge)
    app_of(catcher).tasks["notifications.send_due"]()
    assert stored(edge, mail.id).status is MailStatus.SENT


def test_without_a_mail_server_mails_wait(edge: Edge, app_of, catcher: Catcher):
    mail = queue(edge)
    app_of(None).tasks["notifications.send"](delivery_of(edge).id)
    waiting = stored(edge, mail.id)
    assert (waiting.status, waiting.attempts) == (MailStatus.QUEUED, 0)
    app_of(catcher).tasks["notifications.send_due"]()
    assert stored(edge, mail.id).status is MailStatus.SENT


def test_a_server_that_is_away_does_not_fail_the_delivery(edge: Edge, app_of, catcher: Catcher):
    mail = queue(edge)
    catcher.stop()
    app_of(catcher).tasks["notifications.send"](delivery_of(edge).id)
    assert delivery_of(edge).status is DeliveryStatus.DONE
    assert stored(edge, mail.id).status is MailStatus.QUEUED


def test_every_task_named_in_the_map_and_timetable_exists(app_of):
    app = app_of(None)
    named = {task for tasks in SUBSCRIPTIONS.values() for task in tasks}
    named |= {entry["task"] for entry in TIMETABLE.values()}
    assert named <= set(app.tasks)
