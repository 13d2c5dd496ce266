"""From the queue to a mail server that is well, down, slow, or refuses for now."""

import asyncio
import os
import subprocess
import sys
import threading
from dataclasses import replace
from email.message import EmailMessage

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import select

from derpman.kit.work import Edge
from derpman.notifications import post, service
from derpman.notifications.models import Mail
from derpman.notifications.post import PostOffice, written
from derpman.notifications.smtp import SmtpServer
from derpman.notifications.states import MailStatus
from derpman.wiring import System
from tests.notifications.queueing import CODE, lease, queue, stored
from tests.system.processes import ROOT
from tests.system.smtp import Catcher


@pytest.fixture
def catcher():
    with Catcher() as catcher:
        yield catcher


def office_of(edge: Edge, port: int) -> PostOffice:
    server = SmtpServer("127.0.0.1", port, "none", greet_as="derp.example", timeout=5)
    return PostOffice(edge, server, "DERP 管理 <noreply@derp.example>", "https://derp.example")


@pytest.fixture
def office(edge: Edge, catcher: Catcher) -> PostOffice:
    return office_of(edge, catcher.port)


def statuses(edge: Edge) -> list[MailStatus]:
    with edge.sessions.reading() as session:
        return list(session.scalars(select(Mail.status).order_by(Mail.id)))


def body_of(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    assert isinstance(body, EmailMessage)
    return body.get_content()


def test_a_mail_arrives_with_its_code_and_headers(edge: Edge, office: PostOffice, catcher: Catcher):
    queued = queue(edge)
    assert office.send_due() == 1
    (message,) = catcher.messages
    mail = message.mail
    assert message.recipients == ("carl@example.com",)
    assert mail["Message-ID"] == f"<{queued.message_id}@derp.example>"
    assert mail["From"] == "DERP 管理 <noreply@derp.example>"
    assert mail["To"] == "carl@example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == queued.created_at
    for body in (body_of(mail, "plain"), body_of(mail, "html")):
        assert CODE in body
        assert "https://derp.example/verify#token=t0ken" in body
        assert "\ue000" not in body
    assert stored(edge, queued.id).status is MailStatus.SENT


def test_many_mails_go_over_one_connection(edge: Edge, office: PostOffice, catcher: Catcher):
    for number in range(20):
        queue(edge, f"carl{number}@example.com")
    opened = []
    connect = SmtpServer.connect

    class Counting(SmtpServer):
        def connect(self):
            opened.append(1)
            return connect(self)

    counting = Counting(**{name: getattr(office.server, name) for name in vars(office.server)})
    assert replace(office, server=counting).send_due() == 20
    assert len(opened) == 1
    assert len({message.recipients for message in catcher.messages}) == 20


def test_down_and_up_again(edge: Edge, office: PostOffice, catcher: Catcher, clock):
    catcher.stop()
    for number in range(5):
        queue(edge, f"carl{number}@example.com")
    for _ in range(40):
        assert office.send_due() == 0
        clock.advance(seconds=15)
    assert statuses(edge) == [MailStatus.QUEUED] * 5
    catcher.start()
    office.send_due()
    assert statuses(edge) == [MailStatus.SENT] * 5
    assert len(catcher.messages) == 5


def test_a_server_that_is_down_is_asked_once_a_round(edge: Edge, catcher: Catcher, clock):
    for number in range(5):
        queue(edge, f"carl{number}@example.com")
    catcher.stop()
    office = office_of(edge, catcher.port)
    office.send_due()
    with edge.sessions.reading() as session:
        attempts = session.scalars(select(Mail.attempts)).all()
    assert sum(attempts) == 1


def test_refused_for_now_arrives_once_in_the_end(
    edge: Edge, office: PostOffice, catcher: Catcher, clock
):
    queued = queue(edge)
    catcher.plan("later", "lost", "later")
    for _ in range(12):
        office.send_due()
        clock.advance(seconds=30)
    assert len(catcher.messages) == 1
    assert catcher.attempts == 4
    assert stored(edge, queued.id).error is None


def test_slow_arrives_once(edge: Edge, office: PostOffice, catcher: Catcher, clock):
    catcher.mode, catcher.slow_seconds = "slow", 0.5
    queue(edge)
    hasty = replace(office, server=replace(office.server, timeout=0.2))
    assert hasty.send_due() == 1
    clock.advance(minutes=5)
    assert hasty.send_due() == 0
    assert len(catcher.messages) == 1


def test_one_bad_mail_holds_up_no_other(edge: Edge, office: PostOffice, catcher: Catcher):
    for number in range(3):
        queue(edge, f"carl{number}@example.com")
    catcher.plan("never", "later")
    office.send_due()
    assert statuses(edge) == [MailStatus.REFUSED, MailStatus.QUEUED, MailStatus.SENT]


def test_missing_answer_sends_again_under_the_same_message_id(
    edge: Edge, office: PostOffice, catcher: Catcher, clock
):
    queue(edge)
    catcher.plan("unsure")
    office.send_due()
    clock.advance(seconds=30)
    office.send_due()
    first, second = catcher.messages
    assert first.mail["Message-ID"] == second.mail["Message-ID"]
    assert statuses(edge) == [MailStatus.SENT]


def test_killed_between_handing_over_and_recording(
    edge: Edge, office: PostOffice, catcher: Catcher, clock, monkeypatch: pytest.MonkeyPatch
):
    class Killed(BaseException):
        pass

    def die(*_args, **_kwargs):
        raise Killed

    queue(edge)
    with monkeypatch.context() as patch:
        patch.setattr(service, "accept", die)
        with pytest.raises(Killed):
            office.send_due()
    assert statuses(edge) == [MailStatus.SENDING]
    clock.advance(seconds=59)
    assert office.send_due() == 0
    clock.advance(seconds=2)
    assert office.send_due() == 1
    first, second = catcher.messages
    assert first.mail["Message-ID"] == second.mail["Message-ID"]
    assert first.mail["Date"] == second.mail["Date"]


def test_killed_for_real_while_the_answer_is_awaited(
    system: System, edge: Edge, office: PostOffice, catcher: Catcher, clock
):
    async def keep_and_think(server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = await Catcher.handle_DATA(catcher, server, session, envelope)
        await asyncio.sleep(5)  # ends with the connection
        return answer

    queue(edge)
    catcher.handle_DATA = keep_and_think
    environment = {
        **os.environ,
        "DATABASE": system.settings.database,
        "KEY": system.settings.vault_keys[0],
        "NOW": clock.now.isoformat(),
        "PORT": str(catcher.port),
    }
    command = [sys.executable, "-m", "tests.notifications.sender"]
    with subprocess.Popen(command, env=environment, cwd=ROOT) as sender:
        catcher.wait_for(1, 30)
        sender.kill()
    del catcher.handle_DATA
    assert statuses(edge) == [MailStatus.SENDING]
    clock.advance(seconds=61)
    assert office.send_due() == 1
    first, second = catcher.messages
    assert first.mail["Message-ID"] == second.mail["Message-ID"]


def test_two_workers_at_once_send_each_mail_once(edge: Edge, office: PostOffice, catcher: Catcher):
    for number in range(15):
        queue(edge, f"carl{number}@example.com")
    workers = [threading.Thread(target=office.send_due) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    office.send_due()
    assert len(catcher.messages) == 15
    assert statuses(edge) == [MailStatus.SENT] * 15


def test_an_address_nothing_can_be_sent_to_is_refused(
    edge: Edge, office: PostOffice, catcher: Catcher
):
    queue(edge, "not an address")
    queue(edge, "a@b.example\r\nBcc: x@y.example")
    queue(edge, "张三@example.com")
    office.send_due()
    assert statuses(edge) == [MailStatus.REFUSED] * 3
    assert catcher.messages == []


def test_the_database_may_be_away_when_a_mail_was_taken(
    edge: Edge, office: PostOffice, catcher: Catcher, monkeypatch: pytest.MonkeyPatch
):
    from sqlalchemy.exc import OperationalError

    accept, failures = service.accept, iter(range(2))

    def unreliable(work, *, mail_id):
        if next(failures, None) is not None:
            raise OperationalError("accept", {}, Exception("gone"))
        accept(work, mail_id=mail_id)

    monkeypatch.setattr(service, "accept", unreliable)
    monkeypatch.setattr(post, "RECORD_PAUSES_SECONDS", (0, 0, 0))
    queue(edge)
    assert office.send_due() == 1
    assert statuses(edge) == [MailStatus.SENT]


def test_long_lines_and_both_scripts_survive(edge: Edge, catcher: Catcher, office: PostOffice):
    message = "行" * 3000 + "\n.\n" + "x" * 3000
    edge(
        service.queue_mail,
        template="plain",
        address="carl@example.com",
        locale="zh-CN",
        params={"username": "张三", "subject": "标题" * 40, "message": message},
    )
    office.send_due()
    mail = catcher.messages[0].mail
    assert mail["Subject"] == "标题" * 40
    assert message in body_of(mail, "plain").replace("\r\n", "\n")


def test_written_mails_have_no_line_that_is_too_long(edge: Edge):
    edge(
        service.queue_mail,
        template="plain",
        address="carl@example.com",
        locale="en",
        params={"username": "carl", "subject": "s", "message": "x" * 5000},
    )
    letter = lease(edge)
    content = written(letter, mail_from="a@derp.example", site_url="https://derp.example")
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    assert b"\n" not in content.replace(b"\r\n", b"")


@pytest.mark.parametrize("mail_from", ["nobody", "", "管理@例子.example"])
def test_a_wrong_sender_refuses_no_mail(edge: Edge, office: PostOffice, mail_from: str):
    queue(edge)
    assert replace(office, mail_from=mail_from).send_due() == 0
    assert statuses(edge) == [MailStatus.QUEUED]


def test_a_long_message_id_stays_whole(edge: Edge, office: PostOffice, catcher: Catcher):
    domain = f"{'mail-of-a-company-with-a-long-name.' * 3}example"
    queued = queue(edge)
    replace(office, mail_from=f"noreply@{domain}").send_due()
    assert catcher.messages[0].mail["Message-ID"] == f"<{queued.message_id}@{domain}>"
