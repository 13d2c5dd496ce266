"""Let admins' roles reach the customers that their holders look after, and no further."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from derpman.kit.types import Id

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with op.batch_alter_table("admin_roles", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("scope", sa.String(length=32), server_default="all", nullable=False)
        )

    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.add_column(sa.Column("manager_id", Id, nullable=True))
        batch_op.create_index(batch_op.f("ix_users_manager_id"), ["manager_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_users_manager_id"), "users", ["manager_id"], ["id"]
        )


def downgrade() -> None:
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_users_manager_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_users_manager_id"))
        batch_op.drop_column("manager_id")

    with op.batch_alter_table("admin_roles", schema=None) as batch_op:
        batch_op.drop_column("scope")
