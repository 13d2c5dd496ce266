"""HTTP of admins' roles: what they permit and who has which."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from derpman.access import adminroles
from derpman.access.models import AdminRole
from derpman.access.permissions import PERMISSIONS
from derpman.access.states import RoleScope
from derpman.kit.http import RunSelf, RunSuperAdmin, RunSuperAdminFresh
from derpman.kit.types import Body, IdValue, Line, Out, Part
from derpman.kit.work import Role

router = APIRouter(prefix="/api/security", tags=["security"])


class PermissionPart(Part):
    name: str
    zh: str
    en: str


class PermissionsOut(Out):
    permissions: list[PermissionPart]


class MineOut(Out):
    is_everything: bool
    """Whatever the account's role may; the list says nothing then."""
    permissions: list[str]
    has_own_only: bool
    """About the customers he looks after, and nothing else."""


class RoleIn(Body):
    name: Annotated[Line, Field(max_length=64)]
    permissions: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=100)]
    scope: RoleScope = RoleScope.ALL
    """`own`: routes about one user, and the list of users, of those whom its holder looks after."""


class RolePart(Part):
    id: int
    name: str
    permissions: list[str]
    scope: RoleScope
    user_ids: list[int] = []


class RolesOut(Out):
    roles: list[RolePart]


class OneRoleOut(Out):
    role: RolePart


class GiveRole(Body):
    role_id: IdValue | None
    """None: no role, and so all that admins may."""


@router.get("/permissions")
def list_permissions(run: RunSuperAdmin) -> PermissionsOut:
    """What an admin's role can permit."""
    return PermissionsOut(
        permissions=[
            PermissionPart(name=name, zh=zh, en=en)
            for name, (zh, en) in sorted(PERMISSIONS.items())
        ]
    )


@router.get("/my_permissions")
def my_permissions(run: RunSelf) -> MineOut:
    """What one's own role permits."""
    actor = run.actor
    if actor.permissions is None:
        is_staff = actor.role in (Role.ADMIN, Role.SUPER_ADMIN)
        return MineOut(is_everything=is_staff, permissions=[], has_own_only=False)
    return MineOut(
        is_everything=False,
        permissions=sorted(actor.permissions),
        has_own_only=actor.has_own_only,
    )


@router.get("/roles")
def list_roles(run: RunSuperAdmin) -> RolesOut:
    """Admins' roles, and who has them."""
    return RolesOut(roles=[_part(role, ids) for role, ids in run.read(adminroles.roles)])


@router.post("/roles")
def add_role(run: RunSuperAdminFresh, body: RoleIn) -> OneRoleOut:
    """Make a role for admins."""
    return OneRoleOut(role=_part(run(adminroles.save, **body.model_dump())))


@router.post("/roles/{role_id:id}")
def change_role(run: RunSuperAdminFresh, role_id: IdValue, body: RoleIn) -> OneRoleOut:
    """Change a role; it holds at once for all who have it."""
    return OneRoleOut(role=_part(run(adminroles.save, role_id=role_id, **body.model_dump())))


@router.post("/roles/{role_id:id}/remove")
def remove_role(run: RunSuperAdminFresh, role_id: IdValue) -> Out:
    """Remove a role that nobody has."""
    run(adminroles.remove, role_id=role_id)
    return Out()


@router.post("/users/{user_id:id}/admin_role")
def give_role(run: RunSuperAdminFresh, user_id: IdValue, body: GiveRole) -> Out:
    """Give an admin a role, or take it from him."""
    run(adminroles.assign, user_id=user_id, role_id=body.role_id)
    return Out()


def _part(role: AdminRole, user_ids: list[int] | None = None) -> RolePart:
    return RolePart(
        id=role.id,
        name=role.name,
        permissions=json.loads(role.permissions),
        scope=role.scope,
        user_ids=user_ids or [],
    )
