"""HTTP of mails, for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from derpman.kit.http import RunAdmin
from derpman.kit.types import IdValue
from derpman.notifications import queries, service
from derpman.notifications.schemas import MailLine, MailOut, MailsOut, MailsQuery, OneMailOut

router = APIRouter(prefix="/api/notifications", tags=["notifications"])


@router.get("/mails")
def list_mails(run: RunAdmin, query: Annotated[MailsQuery, Query()]) -> MailsOut:
    """Mails, newest first; `address` is a part of it."""
    mails, next_before = run.read(queries.mails, **query.model_dump())
    return MailsOut(
        mails=[MailLine.model_validate(mail) for mail in mails], next_before=next_before
    )


@router.get("/mails/{mail_id}")
def show_mail(run: RunAdmin, mail_id: IdValue) -> OneMailOut:
    """One mail as it was sent, with dots where its secrets stood."""
    return OneMailOut(mail=MailOut.of(run.read(service.mail_of, mail_id)))


@router.post("/mails/{mail_id}/requeue")
def requeue_mail(run: RunAdmin, mail_id: IdValue) -> OneMailOut:
    """Send a refused mail again."""
    return OneMailOut(mail=MailOut.of(run(service.requeue, mail_id=mail_id)))
