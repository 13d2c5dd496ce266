"""HTTP of mails, for admins."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from derpman.kit.csvfile import CSV, listed
from derpman.kit.http import RunAdmin
from derpman.kit.types import IdValue
from derpman.notifications import queries, service
from derpman.notifications.schemas import MailLine, MailOut, MailsOut, MailsQuery, OneMailOut

router = APIRouter(prefix="/api/notifications", tags=["notifications"])


@router.get("/mails", response_model=MailsOut, responses=CSV)
def list_mails(run: RunAdmin, query: Annotated[MailsQuery, Query()]) -> Any:
    """Mails, newest first; `address` is a part of it."""

    def read(query: MailsQuery) -> MailsOut:
        mails, next_before = run.read(queries.mails, **query.asked())
        return MailsOut(
            mails=[MailLine.model_validate(mail) for mail in mails], next_before=next_before
        )

    return listed(query, read, name="mails", rows="mails", row=MailLine)


@router.get("/mails/{mail_id}")
def show_mail(run: RunAdmin, mail_id: IdValue) -> OneMailOut:
    """One mail as it was sent, with dots where its secrets stood."""
    return OneMailOut(mail=MailOut.of(run.read(service.mail_of, mail_id)))


@router.post("/mails/{mail_id}/requeue")
def requeue_mail(run: RunAdmin, mail_id: IdValue) -> OneMailOut:
    """Send a refused mail again."""
    return OneMailOut(mail=MailOut.of(run(service.requeue, mail_id=mail_id)))
