"""JSON of mails. Bodies are shown with dots where codes and links stood."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

from derpman.kit.paging import TimedQuery
from derpman.kit.states import allowed_actions
from derpman.kit.types import IdValue, Line, Out, Part
from derpman.notifications.models import Mail
from derpman.notifications.rendering import conceal
from derpman.notifications.states import TRANSITIONS, MailStatus


class MailsQuery(TimedQuery):
    address: Annotated[Line | None, Field(max_length=254)] = None
    status: MailStatus | None = None
    user_id: IdValue | None = None


class MailLine(Part):
    id: int
    message_id: str
    user_id: int | None
    address: str
    template: str
    locale: str
    subject: str
    status: MailStatus
    attempts: int
    due_at: datetime
    created_at: datetime
    sent_at: datetime | None
    error: str | None


Concealed = Annotated[str, BeforeValidator(conceal)]


class MailOut(MailLine):
    text: Concealed
    html: Concealed
    allowed_actions: list[str]

    @classmethod
    def of(cls, mail: Mail) -> MailOut:
        """Return a mail as an admin may read it, and what he may do with it."""
        line = MailLine.model_validate(mail)
        possible = allowed_actions(TRANSITIONS, mail.status)
        return cls(
            **line.model_dump(),
            text=mail.text,
            html=mail.html,
            allowed_actions=[action for action in possible if action == "requeue"],
        )


class MailsOut(Out):
    mails: list[MailLine]
    next_before: int | None


class OneMailOut(Out):
    mail: MailOut
