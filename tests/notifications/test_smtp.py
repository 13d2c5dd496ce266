"""The driver tells exactly how handing a mail over ended."""

import datetime as dt
import ipaddress
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from derpman.notifications import smtp
from derpman.notifications.errors import (
    AnswerUnknown,
    MailDeferred,
    MailRefused,
    MailServerAway,
)
from derpman.notifications.smtp import Envelope, SmtpServer
from tests.notifications.scripted import CUT, ScriptedServer
from tests.system.services import free_port
from tests.system.smtp import Catcher

ENVELOPE = Envelope(
    "noreply@derp.example", "carl@example.com", b"Subject: x\r\n\r\n.dot\r\nend\r\n"
)


def server_at(port: int, **more) -> SmtpServer:
    return replace(SmtpServer("127.0.0.1", port, "none", "derp.example", timeout=5), **more)


def hand_over(port: int, **more) -> None:
    connection = server_at(port, **more).connect()
    try:
        connection.hand_over(ENVELOPE, lambda: None)
    finally:
        connection.close()


def test_a_mail_arrives_whole():
    with Catcher() as catcher:
        hand_over(catcher.port)
        (message,) = catcher.messages
    assert message.sender == "noreply@derp.example"
    assert message.recipients == ("carl@example.com",)
    assert message.mail.get_content().splitlines() == [".dot", "end"]


def test_one_connection_carries_many():
    with ScriptedServer() as server:
        connection = server_at(server.port).connect()
        for _ in range(3):
            connection.hand_over(ENVELOPE, lambda: None)
        connection.close()
    assert server.commands.count("EHLO") == 1
    assert server.commands.count(".") == 3
    assert server.commands[-1] == "QUIT"


@pytest.mark.parametrize(
    ("answers", "ending"),
    [
        # The server does not work for us: no mail's fault.
        ({"hello": "554 no service"}, MailServerAway),
        ({"hello": "421 too busy"}, MailServerAway),
        ({"hello": CUT}, MailServerAway),
        ({"EHLO": CUT}, MailServerAway),
        ({"MAIL": "553 not from you"}, MailServerAway),
        ({"MAIL": "451 too many mails"}, MailServerAway),
        ({"MAIL": "530 log in first"}, MailServerAway),
        ({"RCPT": "530 log in first"}, MailServerAway),
        # Nothing was taken, and it may be later.
        ({"MAIL": CUT}, MailDeferred),
        ({"RCPT": "450 grey"}, MailDeferred),
        ({"RCPT": "421 closing"}, MailDeferred),
        ({"RCPT": CUT}, MailDeferred),
        ({"DATA": "451 later"}, MailDeferred),
        ({"DATA": CUT}, MailDeferred),
        ({".": "452 full"}, MailDeferred),
        # Nothing was taken and never will be.
        ({"RCPT": "550 no such user"}, MailRefused),
        ({"DATA": "554 no"}, MailRefused),
        ({".": "552 spam"}, MailRefused),
        # All was handed over, and nobody knows.
        ({".": CUT}, AnswerUnknown),
        ({".": "what?"}, AnswerUnknown),
    ],
)
def test_how_it_ends(answers: dict[str, str], ending: type[Exception]):
    with ScriptedServer(**answers) as server, pytest.raises(ending):
        hand_over(server.port)


def test_after_a_no_the_connection_is_closed():
    with ScriptedServer(RCPT="550 no such user") as server:
        connection = server_at(server.port).connect()
        with pytest.raises(MailRefused, match="550 no such user"):
            connection.hand_over(ENVELOPE, lambda: None)
        assert not connection.is_open
        connection.close()


def test_nobody_listens():
    with pytest.raises(MailServerAway):
        server_at(free_port()).connect()


def test_a_server_that_says_nothing_is_away():
    with ScriptedServer() as server:
        held = server_at(server.port).connect()  # it serves one at a time
        with pytest.raises(MailServerAway):
            server_at(server.port, timeout=0.2).connect()
        held.close()


def test_a_slow_answer_is_awaited_beyond_the_timeout(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(smtp, "LOOK_EVERY_SECONDS", 0.1)
    waited = []
    with Catcher() as catcher:
        catcher.mode, catcher.slow_seconds = "slow", 1.0
        connection = server_at(catcher.port, timeout=0.3).connect()
        connection.hand_over(ENVELOPE, lambda: waited.append(1))
        connection.close()
        assert len(catcher.messages) == 1
    assert len(waited) >= 3


def test_an_answer_that_never_comes_is_unknown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(smtp, "LOOK_EVERY_SECONDS", 0.05)
    monkeypatch.setattr(smtp, "FINAL_ANSWER_SECONDS", 0.2)
    with Catcher() as catcher:
        catcher.mode, catcher.slow_seconds = "slow", 1.0
        with pytest.raises(AnswerUnknown):
            hand_over(catcher.port)


# -- log-in and encryption ------------------------------------------------------------------


def test_log_in():
    with Catcher(login=("me", "pass")) as catcher:
        hand_over(catcher.port, username="me", password=SecretStr("pass"))
        assert len(catcher.messages) == 1


@pytest.mark.parametrize("password", [SecretStr("wrong"), None])
def test_refused_log_in_is_no_fault_of_the_mail(password: SecretStr | None):
    with Catcher(login=("me", "pass")) as catcher, pytest.raises(MailServerAway) as away:
        hand_over(catcher.port, username="me", password=password)
    assert "wrong" not in str(away.value)


def test_without_starttls_nothing_is_sent():
    with ScriptedServer() as server, pytest.raises(MailServerAway):
        hand_over(server.port, security="starttls")
    assert "MAIL" not in server.commands


class Kept:
    def __init__(self) -> None:
        self.count = 0

    async def handle_DATA(self, _server, _session, _envelope) -> str:  # noqa: N802 # aiosmtpd's name
        self.count += 1
        return "250 kept"


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_encrypted(security: str, tmp_path: Path):
    own, trust = certificate(tmp_path)
    kept = Kept()
    from_start = security == "tls"
    controller = Controller(
        kept,
        hostname="127.0.0.1",
        port=free_port(),
        ssl_context=own if from_start else None,
        tls_context=None if from_start else own,
        require_starttls=not from_start,
    )
    controller.start()
    try:
        with pytest.raises(MailServerAway, match="certificate"):
            hand_over(controller.port, security=security)
        hand_over(controller.port, security=security, trust=trust)
    finally:
        controller.stop()
    assert kept.count == 1


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a context for a server on 127.0.0.1, and one that believes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(pem)
    trust = ssl.create_default_context(
        cadata=made.public_bytes(serialization.Encoding.PEM).decode()
    )
    return own, trust
