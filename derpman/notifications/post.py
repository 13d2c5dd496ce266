"""The post office: takes due mails one by one, hands them over, and records how each ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr

import structlog
from sqlalchemy.exc import SQLAlchemyError

from derpman.kit.errors import Unavailable
from derpman.kit.work import Edge
from derpman.notifications import service
from derpman.notifications.errors import (
    AnswerUnknown,
    MailDeferred,
    MailRefused,
    MailServerAway,
)
from derpman.notifications.rendering import SITE, reveal
from derpman.notifications.service import Letter
from derpman.notifications.smtp import Envelope, SmtpConnection, SmtpServer
from derpman.settings import Settings

BUDGET_SECONDS = 60
"""How long one call goes on taking mails; the next sweep continues."""
RECORD_PAUSES_SECONDS = (0.5, 1, 2, 4, 8, 16)
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class PostOffice:
    """Sends what is due. Several may work at once: a mail is leased to one of them."""

    run: Edge
    server: SmtpServer
    mail_from: str
    site_url: str

    def send_due(self) -> int:
        """Send due mails over one connection; return how many were taken by the server.

        No transaction is open while the mail server is spoken to. A process that dies in between
        leaves a lease that runs out; the mail then goes again, with the same Message-ID.
        """
        ends = time.monotonic() + BUDGET_SECONDS
        connection: SmtpConnection | None = None
        sent = 0
        try:
            while time.monotonic() < ends:
                letter = self.run(service.lease_next, domain=domain_of(self.mail_from))
                if letter is None:
                    break
                try:
                    if connection is None or not connection.is_open:
                        connection = self.server.connect()
                    self._send(connection, letter)
                    sent += 1
                except MailServerAway as error:
                    self._record_failure(service.put_back, letter, error)
                    break
                except (MailDeferred, AnswerUnknown) as error:
                    self._record_failure(service.defer, letter, error)
                except MailRefused as error:
                    self._record_failure(service.refuse, letter, error)
        finally:
            if connection is not None:
                connection.close()
        return sent

    def _send(self, connection: SmtpConnection, letter: Letter) -> None:
        def still_waiting() -> None:
            with contextlib.suppress(SQLAlchemyError, Unavailable):
                self.run(service.renew_lease, mail_id=letter.mail_id, attempt=letter.attempt)

        sender = parseaddr(self.mail_from)[1]
        if "@" not in sender or not sender.isascii():
            raise MailServerAway("the setting mail_from is no address")
        envelope = Envelope(
            sender=sender,
            recipient=letter.address,
            content=written(letter, mail_from=self.mail_from, site_url=self.site_url),
        )
        connection.hand_over(envelope, still_waiting)
        self._record_sent(letter)
        log.info("mail sent", mail_id=letter.mail_id, template=letter.template)

    def _record_sent(self, letter: Letter) -> None:
        """Record it even if the database is away for a moment; forgotten, it is sent again."""
        for pause in RECORD_PAUSES_SECONDS:
            try:
                return self.run(service.accept, mail_id=letter.mail_id)
            except (SQLAlchemyError, Unavailable):
                log.warning("sent mail not recorded yet", mail_id=letter.mail_id)
                time.sleep(pause)
        return self.run(service.accept, mail_id=letter.mail_id)

    def _record_failure(self, verb: Callable[..., None], letter: Letter, error: Exception) -> None:
        log.warning(
            "mail not sent",
            mail_id=letter.mail_id,
            failure=type(error).__name__,
            reason=str(error),
        )
        self.run(verb, mail_id=letter.mail_id, attempt=letter.attempt, reason=str(error))


def post_office(run: Edge, settings: Settings) -> PostOffice | None:
    """Return the post office of an installation; None while no mail server is set."""
    if not settings.smtp_host:
        return None
    server = SmtpServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        greet_as=domain_of(settings.mail_from),
        username=settings.smtp_username,
        password=settings.smtp_password,
        timeout=settings.mail_timeout_seconds,
    )
    return PostOffice(run, server, settings.mail_from, settings.public_url.rstrip("/"))


def domain_of(mail_from: str) -> str:
    """Return the domain of a sender, which Message-IDs and our greeting carry."""
    return parseaddr(mail_from)[1].rpartition("@")[2] or "localhost"


def written(letter: Letter, *, mail_from: str, site_url: str) -> bytes:
    """Return the mail as bytes for the wire; MailRefused when it cannot be written as one."""
    values = {**letter.secrets, SITE: site_url}
    name, sender = parseaddr(mail_from)
    message = EmailMessage(policy=SMTP)
    try:
        message["From"] = Address(name, addr_spec=sender)
        message["To"] = Address(addr_spec=letter.address)
        message["Subject"] = letter.subject
        message["Date"] = letter.created_at
        message["Message-ID"] = f"<{letter.message_id}>"
        message["Content-Language"] = letter.locale
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(reveal(letter.text, values))
        page = reveal(letter.html, values, escape=True)
        message.add_alternative(page, subtype="html")
        return message.as_bytes()
    except (ValueError, MessageError) as error:
        raise MailRefused(f"cannot be written as a mail: {type(error).__name__}") from error
