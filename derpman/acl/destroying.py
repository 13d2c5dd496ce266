"""What is left of a deregistered user's ACLs: numbers and dates, for the history."""

from __future__ import annotations

from sqlalchemy import update

from derpman.acl.models import AclAddress, AclVersion
from derpman.acl.states import AclStatus
from derpman.kit.work import UnitOfWork

NOTHING = '{"Regions":{}}'


def destroy(work: UnitOfWork, *, user_id: int) -> None:
    """Destroy a user's documents and his secret address; his rentals are over."""
    work.session.execute(
        update(AclVersion)
        .where(AclVersion.user_id == user_id)
        .values(document=NOTHING, status=AclStatus.ENDED, due_at=None)
        .execution_options(synchronize_session=False)
    )
    work.session.execute(
        update(AclAddress)
        .where(AclAddress.user_id == user_id, AclAddress.revoked_at.is_(None))
        .values(revoked_at=work.now, live_user_id=None)
        .execution_options(synchronize_session=False)
    )
    work.session.execute(
        update(AclAddress)
        .where(AclAddress.user_id == user_id)
        .values(token="")  # of a revoked address
        .execution_options(synchronize_session=False)
    )
