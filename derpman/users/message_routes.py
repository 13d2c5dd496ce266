"""HTTP of messages from admins to users."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from derpman.kit.http import RunAdmin
from derpman.kit.types import Body, IdValue, Line, Note, Out
from derpman.users import messages

router = APIRouter(prefix="/api/notifications", tags=["notifications"])


class Send(Body):
    user_id: IdValue
    subject: Line
    message: Annotated[Note, Field(min_length=1)]


class SentOut(Out):
    message: str = "Sent"


@router.post("/send")
def send(run: RunAdmin, body: Send) -> SentOut:
    """Mail a user. "Sent" means taken over for sending; the list of mails shows the rest."""
    run(messages.send_message, **body.model_dump())
    return SentOut()
