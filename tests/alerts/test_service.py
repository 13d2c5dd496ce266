"""One cause, one open alert."""

import ast
import json
from pathlib import Path

import pytest
from sqlalchemy import select

import derpman
from derpman.alerts import mails, service
from derpman.alerts.errors import AlertNotFound, AlertResolved
from derpman.alerts.models import Severity, SystemAlert
from derpman.alerts.rules import RULES
from derpman.alerts.texts import TEXTS, sentence
from derpman.kit.outbox import Delivery
from derpman.kit.work import Edge, Role
from derpman.notifications import service as notifications
from derpman.notifications.models import Mail
from derpman.users import messages
from tests.notifications.queueing import at_once, defer, lease, put_back, queue, refuse

TOLD = ["users.mail_admins_of_alert", "alerts.tell_raised"]
PARAMS = {"server_id": 3, "ip": "203.0.113.3", "region": "hk", "error": "timed out"}


def raise_one(edge: Edge, severity: Severity = Severity.WARNING, key: str = "3") -> SystemAlert:
    return edge(
        service.raise_alert,
        alert_type="server_unreachable",
        severity=severity,
        object_key=key,
        params=PARAMS,
    )


def open_alerts(edge: Edge) -> list[SystemAlert]:
    with edge.sessions.reading() as session:
        return list(session.scalars(select(SystemAlert).where(~SystemAlert.resolved)))


def handlers(edge: Edge) -> list[str]:
    with edge.sessions.reading() as session:
        return list(session.scalars(select(Delivery.handler).order_by(Delivery.id)))


def test_a_new_alert_is_told_in_words(edge: Edge, clock):
    alert = raise_one(edge)
    assert alert.message == "Server 3 (hk, 203.0.113.3) cannot be reached: timed out"
    assert json.loads(alert.params) == PARAMS
    assert (alert.count, alert.resolved, alert.created_at) == (1, False, clock.now)
    assert handlers(edge) == TOLD


def test_repeated_it_counts_up_and_tells_nobody_again(edge: Edge, clock):
    first = raise_one(edge)
    clock.advance(minutes=1)
    again = raise_one(edge)
    assert (again.id, again.count, again.last_at) == (first.id, 2, clock.now)
    assert handlers(edge) == TOLD


def test_worse_is_told_again(edge: Edge):
    raise_one(edge)
    worse = raise_one(edge, Severity.CRITICAL)
    assert (worse.count, worse.severity) == (2, Severity.CRITICAL)
    assert handlers(edge) == TOLD * 2


def test_objects_have_alerts_of_their_own(edge: Edge):
    raise_one(edge, key="3")
    raise_one(edge, key="4")
    assert len(open_alerts(edge)) == 2


def test_resolved_by_itself_and_raised_anew(edge: Edge):
    def resolve() -> bool:
        return edge(service.resolve_alert, alert_type="server_unreachable", object_key="3")

    assert resolve() is False
    first = raise_one(edge)
    assert resolve() is True
    assert resolve() is False
    assert open_alerts(edge) == []
    assert raise_one(edge).id != first.id


def test_many_at_once_open_one(edge: Edge):
    at_once(8, lambda: raise_one(edge))
    (alert,) = open_alerts(edge)
    assert alert.count == 8


def test_an_admin_resolves_once(edge: Edge):
    alert = raise_one(edge)
    assert edge(service.resolve, alert_id=alert.id).resolved is True
    with pytest.raises(AlertResolved):
        edge(service.resolve, alert_id=alert.id)
    with pytest.raises(AlertNotFound):
        edge(service.resolve, alert_id=99)


# -- words ----------------------------------------------------------------------------------


def test_every_alert_that_code_raises_has_its_sentence():
    raised: set[str] = set()
    for path in Path(derpman.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text())
        named = {
            target.id: _texts(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and "raise_alert" in ast.unparse(node.func):
                (kind,) = [word.value for word in node.keywords if word.arg == "alert_type"]
                if isinstance(kind, ast.Name):
                    raised |= named.get(kind.id, set(RULES))
                elif isinstance(kind, ast.Constant):
                    raised |= _texts(kind)
                else:  # looked up in a table of this module
                    raised |= named["ALERTS"]
    assert {"server_unreachable", "relays_unreachable", "mail_waiting"} <= raised
    assert raised <= set(TEXTS)


def _texts(node: ast.expr) -> set[str]:
    """The texts that a constant is, or that a dictionary has as values."""
    values = node.values if isinstance(node, ast.Dict) else [node]
    return {one.value for one in values if isinstance(one, ast.Constant) and type(one.value) is str}


@pytest.mark.parametrize("locale", ["en", "zh-CN"])
@pytest.mark.parametrize("alert_type", [*TEXTS, "unheard_of"])
def test_sentences_never_fail(alert_type: str, locale: str):
    assert sentence(alert_type, {}, locale)
    assert sentence(alert_type, {"error": None, "{x}": "{y}"}, locale)


def test_what_is_not_known_is_a_question_mark():
    assert sentence("mail_waiting", {"count": 2, "error": None}).endswith("five minutes: ?")


# -- mails to admins ------------------------------------------------------------------------


def test_admins_are_mailed_in_their_language(edge: Edge, person, mails, root, carl, rita):
    dora = person("dora", Role.ADMIN, "en")
    alert = raise_one(edge, Severity.CRITICAL)
    for _ in range(2):  # a delivery may come twice
        edge(messages.mail_admins_of_alert, alert_id=alert.id)
    (english,) = mails(dora.email)
    assert english.subject.startswith("[critical] Server 3 (hk, 203.0.113.3) cannot be reached")
    (chinese,) = mails(root.email)
    assert chinese.subject.startswith("[严重] 服务器 3（hk，203.0.113.3）无法连接")
    assert mails(carl.email) == mails(rita.email) == []


def test_an_alert_that_is_over_is_not_mailed(edge: Edge, root, mails):
    alert = raise_one(edge)
    edge(service.resolve_alert, alert_type="server_unreachable", object_key="3")
    edge(messages.mail_admins_of_alert, alert_id=alert.id)
    assert mails(root.email) == []


def test_the_whole_way_by_deliveries(edge: Edge, root, mails, follow):
    raise_one(edge)
    follow("users.", "notifications.")
    assert len(mails(root.email)) == 1


# -- alerts about mails ---------------------------------------------------------------------


def test_mails_that_wait_raise_an_alert_that_resolves_itself(edge: Edge, clock):
    mail = queue(edge)
    clock.advance(minutes=4)
    edge(mails.watch)
    assert open_alerts(edge) == []
    clock.advance(minutes=1)
    edge(mails.watch)
    edge(mails.watch)
    (alert,) = open_alerts(edge)
    assert (alert.alert_type, alert.severity) == ("mail_waiting", Severity.CRITICAL)
    assert alert.message.startswith("1 mails have waited")
    edge(notifications.accept, mail_id=mail.id)
    edge(mails.watch)
    assert open_alerts(edge) == []


def test_the_alert_says_what_the_mail_server_said(edge: Edge, clock):
    queue(edge)
    letter = lease(edge)
    put_back(edge, letter, "535 bad password")
    clock.advance(minutes=6)
    edge(mails.watch)
    (alert,) = open_alerts(edge)
    assert "535 bad password" in alert.message


def test_deferred_mails_are_no_alarm(edge: Edge, clock):
    queue(edge)
    letter = lease(edge)
    defer(edge, letter, "450 grey")
    clock.advance(hours=1)
    edge(mails.watch)
    assert open_alerts(edge) == []


def test_a_requeued_mail_is_no_alarm(edge: Edge, clock):
    queue(edge)
    letter = lease(edge)
    refuse(edge, letter)
    clock.advance(hours=1)
    edge(notifications.requeue, mail_id=letter.mail_id)
    edge(mails.watch)
    assert open_alerts(edge) == []


def test_a_refused_mail_raises_one_alert_for_all(edge: Edge, follow):
    for name in ("carl", "eve"):
        queue(edge, f"{name}@example.com")
        letter = lease(edge)
        refuse(edge, letter)
    follow("alerts.")
    (alert,) = open_alerts(edge)
    assert alert.count == 2
    assert alert.message == "The mail server refused a mail to eve@example.com for good: 550 no"


def test_alert_mails_that_wait_raise_no_further_alerts(edge: Edge, root, clock, follow):
    queue(edge)
    for _ in range(10):
        clock.advance(minutes=6)
        edge(mails.watch)
        follow("users.")
    with edge.sessions.reading() as session:
        told = session.scalars(select(Mail).where(Mail.template == "alert_raised")).all()
    assert len(told) == 1
    assert len(open_alerts(edge)) == 1
