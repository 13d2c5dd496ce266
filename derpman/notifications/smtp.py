"""The driver of a mail server: hands one mail over and tells exactly how that ended."""

from __future__ import annotations

import contextlib
import re
import select
import smtplib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pydantic import SecretStr

from derpman.notifications.errors import (
    AnswerUnknown,
    MailDeferred,
    MailRefused,
    MailServerAway,
)

FINAL_ANSWER_SECONDS = 600
"""RFC 5321, 4.5.3.2.6: wait ten minutes after the final dot, because who asks again too soon
delivers twice."""
LOOK_EVERY_SECONDS = 15
ABOUT_US = frozenset({530, 534, 535, 538})
"""Answers about our log-in (RFC 4954), whatever command they answer."""


@dataclass(frozen=True)
class Envelope:
    """Who, to whom, and the whole mail as it goes over the wire."""

    sender: str
    recipient: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class SmtpServer:
    """Where mails are handed over, and how. Times in seconds."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    greet_as: str
    """The name we give ourselves in EHLO; looking one up may take longer than the mail."""
    username: str = ""
    password: SecretStr | None = None
    timeout: float = 20
    trust: ssl.SSLContext | None = None
    """Whom to believe; the system's authorities when None."""

    def connect(self) -> SmtpConnection:
        """Open a connection that is ready for mails; MailServerAway when there is none."""
        smtp: smtplib.SMTP | None = None
        try:
            smtp = self._greeted()
            if self.username and self.password is not None:
                smtp.login(self.username, self.password.get_secret_value())
        except (smtplib.SMTPException, OSError, ValueError) as error:
            if smtp is not None:
                smtp.close()
            raise MailServerAway(_told(error)) from error
        return SmtpConnection(smtp)

    def _greeted(self) -> smtplib.SMTP:
        trust = self.trust or ssl.create_default_context()
        if self.security == "tls":
            smtp = smtplib.SMTP_SSL(
                self.host, self.port, self.greet_as, timeout=self.timeout, context=trust
            )
        else:
            smtp = smtplib.SMTP(self.host, self.port, self.greet_as, timeout=self.timeout)
        try:
            if self.security == "starttls":
                smtp.starttls(context=trust)  # raises when the server does not offer it
            smtp.ehlo_or_helo_if_needed()
        except BaseException:
            smtp.close()
            raise
        return smtp


class SmtpConnection:
    """A connection ready for mails. After any answer but yes it is closed: begin a new one."""

    def __init__(self, smtp: smtplib.SMTP) -> None:
        self._smtp = smtp

    @property
    def is_open(self) -> bool:
        return self._smtp.sock is not None

    def close(self) -> None:
        """Say good-bye if anybody listens; never raises."""
        with contextlib.suppress(smtplib.SMTPException, OSError):
            if self.is_open:
                self._smtp.quit()
        self._smtp.close()

    def hand_over(self, envelope: Envelope, still_waiting: Callable[[], None]) -> None:
        """Return when the server has taken the mail.

        `still_waiting` is called now and then while the final answer is awaited. Raises
        MailDeferred, MailRefused, MailServerAway (our log-in or sender is refused, or mails are
        not wanted now), or AnswerUnknown, the only case in which the server may have it.
        """
        try:
            try:
                self._begin(envelope)
            except (smtplib.SMTPException, OSError) as error:
                raise MailDeferred(_told(error)) from error
            self._end(still_waiting)
        except BaseException:
            self._smtp.close()
            raise

    def _begin(self, envelope: Envelope) -> None:
        """Do all up to the final dot; the server has taken nothing when this raises."""
        smtp = self._smtp
        code, text = smtp.mail(envelope.sender)
        if code != 250:  # nothing is known of this mail yet, so it is about our sender or about all
            raise MailServerAway(_reply(code, text))
        _expect(*smtp.rcpt(envelope.recipient), 250, 251)
        _expect(*smtp.docmd("DATA"), 354)
        stuffed = re.sub(rb"(?m)^\.", b"..", envelope.content)
        smtp.send(stuffed.rstrip(b"\r\n") + b"\r\n.\r\n")

    def _end(self, still_waiting: Callable[[], None]) -> None:
        try:
            self._await_answer(still_waiting)
            code, text = self._smtp.getreply()
        except (smtplib.SMTPException, OSError) as error:
            raise AnswerUnknown(_told(error)) from error
        if code == -1:
            raise AnswerUnknown(_reply(code, text))
        _expect(code, text, 250)

    def _await_answer(self, still_waiting: Callable[[], None]) -> None:
        sock = self._smtp.sock
        if sock is None:
            raise smtplib.SMTPServerDisconnected("closed before the final answer")
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        ends = time.monotonic() + FINAL_ANSWER_SECONDS
        while time.monotonic() < ends:
            decrypted = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
            if decrypted or poll.poll(LOOK_EVERY_SECONDS * 1000):
                return
            still_waiting()
        raise TimeoutError("no final answer in ten minutes")


def _expect(code: int, text: bytes, *wanted: int) -> None:
    if code in wanted:
        return
    reply = _reply(code, text)
    if code in ABOUT_US:
        raise MailServerAway(reply)
    if 500 <= code < 600:
        raise MailRefused(reply)
    raise MailDeferred(reply)


def _reply(code: int, text: bytes) -> str:
    return f"{code} {text.decode(errors='replace')}"


def _told(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        return _reply(error.smtp_code, text if isinstance(text, bytes) else text.encode())
    return f"{type(error).__name__}: {error}"
