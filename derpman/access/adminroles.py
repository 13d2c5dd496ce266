"""Verbs of admins' roles: what each permits, and who has which."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import delete, func, select

from derpman.access.errors import (
    AdminRoleNotFound,
    AdminRoleTaken,
    AdminRoleUsed,
    NotAnAdmin,
    UnknownPermission,
)
from derpman.access.models import AdminMember, AdminRole
from derpman.access.permissions import EVERYBODYS, PERMISSIONS
from derpman.access.states import RoleScope
from derpman.kit.work import Role, UnitOfWork
from derpman.logs import service as logs
from derpman.users import service as users


def permitted(text: str | None) -> frozenset[str] | None:
    """Return what a role's stored list permits; None, for no role, is everything."""
    return None if text is None else frozenset(json.loads(text)) | EVERYBODYS


def roles(work: UnitOfWork) -> Sequence[tuple[AdminRole, list[int]]]:
    """Return every role by name, each with the ids of who has it."""
    found = work.session.scalars(select(AdminRole).order_by(AdminRole.name)).all()
    members: dict[int, list[int]] = {}
    for member in work.session.scalars(select(AdminMember).order_by(AdminMember.user_id)):
        members.setdefault(member.role_id, []).append(member.user_id)
    return [(role, members.get(role.id, [])) for role in found]


def save(
    work: UnitOfWork,
    *,
    name: str,
    permissions: Sequence[str],
    scope: RoleScope = RoleScope.ALL,
    role_id: int | None = None,
) -> AdminRole:
    """Make a role, or change one; whoever has it may from now on what it permits."""
    unknown = sorted(set(permissions) - PERMISSIONS.keys())
    if unknown:
        raise UnknownPermission(permission=unknown[0])
    same = work.session.scalar(select(AdminRole.id).where(AdminRole.name == name))
    if same is not None and same != role_id:
        raise AdminRoleTaken(name=name)
    text = json.dumps(sorted(set(permissions)))
    if role_id is None:
        role = AdminRole(name=name, permissions=text, scope=scope, created_at=work.now)
        work.session.add(role)
        before = None
    else:
        role = _get(work, role_id)
        before = _shown(role)
        role.name, role.permissions, role.scope = name, text, scope
    work.session.flush()
    work.wake("sessions")
    logs.record(
        work,
        action="access.role_saved",
        object_type="admin_role",
        object_id=role.id,
        before=before,
        after=_shown(role),
    )
    return role


def remove(work: UnitOfWork, *, role_id: int) -> None:
    """Remove a role that nobody has."""
    role = _get(work, role_id)
    if work.session.scalar(
        select(func.count(AdminMember.user_id)).where(AdminMember.role_id == role_id)
    ):
        raise AdminRoleUsed
    work.session.delete(role)
    logs.record(
        work,
        action="access.role_removed",
        object_type="admin_role",
        object_id=role_id,
        before=_shown(role),
    )


def assign(work: UnitOfWork, *, user_id: int, role_id: int | None) -> None:
    """Give an admin a role; None takes it away, and he may whatever admins may."""
    user = users.lock(work, user_id)
    if user.role is not Role.ADMIN:
        raise NotAnAdmin
    if role_id is not None:
        _get(work, role_id)
    member = work.session.get(AdminMember, user_id)
    before = None if member is None else member.role_id
    if role_id is None:
        work.session.execute(delete(AdminMember).where(AdminMember.user_id == user_id))
    elif member is None:
        work.session.add(AdminMember(user_id=user_id, role_id=role_id))
    else:
        member.role_id = role_id
    work.wake("sessions")
    logs.record(
        work,
        action="access.role_given",
        object_type="user",
        object_id=user_id,
        before={"admin_role_id": before},
        after={"admin_role_id": role_id},
    )


def _shown(role: AdminRole) -> dict[str, object]:
    return {"name": role.name, "permissions": json.loads(role.permissions), "scope": role.scope}


def _get(work: UnitOfWork, role_id: int) -> AdminRole:
    role = work.session.get(AdminRole, role_id)
    if role is None:
        raise AdminRoleNotFound
    return role
