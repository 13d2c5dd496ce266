"""A mail server that keeps what it gets and misbehaves as it is told."""

import asyncio
import email
import email.policy
from collections import deque
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Literal, Self, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.system.processes import wait_until
from tests.system.services import HOST, free_port

Mode = Literal["ok", "slow", "later", "never", "lost", "unsure"]


@dataclass(frozen=True)
class Message:
    """One message as it was kept; `mail` has its headers and bodies."""

    sender: str
    recipients: tuple[str, ...]
    mail: EmailMessage


class Catcher:
    """Listens on a free loopback port at once; `mode` may be changed at any time.

    ok: keeps it. slow: answers DATA after `slow_seconds`, then ok. later: 451. never: 550.
    lost: the connection breaks after DATA and nothing was kept. unsure: it breaks, but it was.
    """

    def __init__(self, *, login: tuple[str, str] | None = None, host: str = HOST) -> None:
        self.host = host
        self.port = free_port()
        self.mode: Mode = "ok"
        self.slow_seconds = 5.0
        self.messages: list[Message] = []
        self.attempts = 0  # messages offered, kept or not
        self._login = login
        self._plan: deque[Mode] = deque()
        self._controller: Controller | None = None
        self.start()

    def start(self) -> None:
        """Open the port, the same one as before."""
        if self._controller is None:
            self._controller = Controller(
                self,
                hostname=self.host,
                port=self.port,
                authenticator=self._authenticate if self._login else None,
                auth_require_tls=False,
            )
            self._controller.start()

    def stop(self) -> None:
        """Close the port: connections are refused."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def plan(self, *modes: Mode) -> None:
        """Modes of the next messages, one each; afterwards `mode` again."""
        self._plan.extend(modes)

    def to(self, address: str) -> list[Message]:
        """What was kept for one address, oldest first."""
        return [message for message in self.messages if address in message.recipients]

    def wait_for(self, count: int, seconds: float = 20) -> list[Message]:
        """Wait until so many messages in all were kept."""
        enough = lambda: len(self.messages) >= count  # noqa: E731 - read once, right here
        wait_until(enough, seconds, f"{count} messages")
        return self.messages

    def close(self) -> None:
        self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what aiosmtpd calls -----------------------------------------------------------------

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name, like the next
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._login and not session.authenticated:
            return "530 5.7.0 Log in first"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Go on"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        self.attempts += 1
        mode = self._plan.popleft() if self._plan else self.mode
        if mode == "slow":
            await asyncio.sleep(self.slow_seconds)
        if mode in {"ok", "slow", "unsure"}:
            parsed = email.message_from_bytes(
                cast("bytes", envelope.content), policy=email.policy.default
            )
            sender, recipients = envelope.mail_from or "", tuple(envelope.rcpt_tos)
            self.messages.append(Message(sender, recipients, parsed))
        if mode in {"lost", "unsure"}:
            cast("asyncio.Transport", server.transport).abort()
        return {"later": "451 4.3.0 Try again later", "never": "550 5.7.1 Not here"}.get(
            mode, "250 2.0.0 Kept"
        )

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        assert self._login is not None
        given = (data.login, data.password) if isinstance(data, LoginPassword) else (b"", b"")
        wanted = (self._login[0].encode(), self._login[1].encode())
        return AuthResult(success=given == wanted, handled=False)
