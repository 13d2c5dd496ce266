"""Ending a map early because a relay that it names goes away before its time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from derpman.acl import usage
from derpman.acl.models import AclVersion
from derpman.acl.states import AclStatus
from derpman.kit.work import UnitOfWork


def shorten(work: UnitOfWork, *, user_id: int, pin: str, until: datetime) -> None:
    """Have the superseded versions of a user that name this relay end no later than then.

    He is told of it as of every end: when the next version is announced, and when it comes.
    """
    versions = work.session.scalars(
        select(AclVersion).where(
            AclVersion.user_id == user_id, AclVersion.status == AclStatus.SUPERSEDED
        )
    ).all()
    for version in versions:
        if version.expires_at > until and pin in usage.pins_of(version):
            version.expires_at = until
            version.due_at = work.now
    work.session.flush()
