"""The private services are real, durable, and misbehave when told."""

import smtplib
import subprocess
import sys
from email.message import EmailMessage

import pytest
import sqlalchemy as sa

from tests.system.processes import ROOT
from tests.system.services import MariaDB, Postgres, Redis
from tests.system.smtp import Catcher, Mode

pytestmark = pytest.mark.system


@pytest.fixture(params=["mariadb", "postgres"])
def database(request: pytest.FixtureRequest) -> MariaDB | Postgres:
    return request.getfixturevalue(request.param)


def test_every_fresh_database_is_empty(database: MariaDB | Postgres) -> None:
    for _ in range(2):
        url = database.fresh()
        engine = sa.create_engine(url)
        with engine.begin() as conn:
            assert sa.inspect(conn).get_table_names() == []
            conn.execute(sa.text("CREATE TABLE things (name VARCHAR(20))"))
            conn.execute(sa.text("INSERT INTO things VALUES ('物')"))
            assert conn.scalar(sa.text("SELECT name FROM things")) == "物"
        engine.dispose()
        database.drop(url)


def test_what_was_committed_survives_kill(database: MariaDB | Postgres) -> None:
    engine = sa.create_engine(database.fresh())
    with engine.begin() as conn:
        conn.execute(sa.text("CREATE TABLE things (number INTEGER)"))
        conn.execute(sa.text("INSERT INTO things VALUES (7)"))
    database.kill()
    database.start()
    engine.dispose()
    with engine.begin() as conn:
        assert conn.scalar(sa.text("SELECT number FROM things")) == 7
    engine.dispose()


def test_redis_is_fresh_each_time(redis: Redis) -> None:
    with redis.client() as client:
        client.set("a", "1")
    redis.fresh()
    with redis.client() as client:
        assert client.keys() == []


def test_a_command_gets_a_server() -> None:
    words = [sys.executable, "-m", "tests.system.services", "mysql", sys.executable, "-c"]
    program = "import os; print(os.environ['DERPMAN_TEST_DATABASE']); raise SystemExit(3)"
    done = subprocess.run([*words, program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.startswith("mysql+pymysql://")
    assert done.returncode == 3


def send(catcher: Catcher) -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "验证码", "a@example.cn", "b@example.cn"
    message.set_content("123456")
    with smtplib.SMTP(catcher.host, catcher.port, timeout=10) as server:
        server.send_message(message)


def test_mail_is_kept_with_its_headers(mail: Catcher) -> None:
    send(mail)
    (kept,) = mail.to("b@example.cn")
    assert (kept.sender, kept.mail["Subject"]) == ("a@example.cn", "验证码")
    assert kept.mail.get_content().strip() == "123456"


@pytest.mark.parametrize(
    ("mode", "error", "kept"),
    [
        ("later", smtplib.SMTPDataError, 0),
        ("never", smtplib.SMTPDataError, 0),
        ("lost", smtplib.SMTPServerDisconnected, 0),
        ("unsure", smtplib.SMTPServerDisconnected, 1),
    ],
)
def test_a_planned_failure_happens_once(
    mail: Catcher, mode: Mode, error: type[Exception], kept: int
) -> None:
    mail.plan(mode)
    with pytest.raises(error):
        send(mail)
    assert len(mail.messages) == kept
    send(mail)
    assert len(mail.wait_for(kept + 1)) == kept + 1


def test_a_closed_mail_server_opens_on_the_same_port(mail: Catcher) -> None:
    mail.stop()
    with pytest.raises(ConnectionRefusedError):
        send(mail)
    mail.start()
    send(mail)
    assert mail.attempts == 1


def test_a_login_is_asked_for() -> None:
    with Catcher(login=("robot", "right")) as mail:
        with pytest.raises(smtplib.SMTPException):
            send(mail)
        with smtplib.SMTP(mail.host, mail.port, timeout=10) as server:
            with pytest.raises(smtplib.SMTPAuthenticationError):
                server.login("robot", "wrong")
            server.login("robot", "right")
