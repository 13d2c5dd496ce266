"""Who looks after a customer: the admin whose role reaches his own customers only sees these."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from derpman.kit.types import MAX_ID
from derpman.kit.work import STAFF, UnitOfWork
from derpman.logs import service as logs
from derpman.users import service
from derpman.users.errors import NotStaff, UserNotFound
from derpman.users.models import User


def looks_after(work: UnitOfWork, *, admin_id: int, user_id: str) -> bool:
    """Tell whether an admin looks after a user; `user_id` is as it stands in an address."""
    if not user_id.isdecimal() or not 0 < int(user_id) <= MAX_ID:
        return False
    found = select(User.id).where(User.id == int(user_id), User.manager_id == admin_id)
    return work.session.scalar(found) is not None


def give(work: UnitOfWork, *, user_ids: Sequence[int], manager_id: int | None) -> int:
    """Have an admin look after these users, or nobody in particular; return how many changed.

    All or none: UserNotFound when one of them is nobody, NotStaff when `manager_id` is no admin.
    """
    if manager_id is not None and service.get(work, manager_id).role not in STAFF:
        raise NotStaff
    wanted = sorted(set(user_ids))
    found = work.session.scalars(
        select(User).where(User.id.in_(wanted)).order_by(User.id).with_for_update()
    ).all()
    if len(found) != len(wanted):
        raise UserNotFound
    changed = [user for user in found if user.manager_id != manager_id]
    for user in changed:
        before, user.manager_id = user.manager_id, manager_id
        logs.record(
            work,
            action="user.manager",
            object_type="user",
            object_id=user.id,
            before={"manager_id": before},
            after={"manager_id": manager_id},
        )
    return len(changed)
