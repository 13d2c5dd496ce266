"""Sum metrics up by five minutes too, and let them be of the system itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from derpman.kit.types import Id, UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "monitoring_fives",
        sa.Column("server_id", Id, autoincrement=False, nullable=False),
        sa.Column("metric", sa.String(length=64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("total", sa.Double(), nullable=False),
        sa.Column("most", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("server_id", "metric", "at", name=op.f("pk_monitoring_fives")),
    )
    with op.batch_alter_table("monitoring_fives", schema=None) as batch_op:
        batch_op.create_index("ix_monitoring_fives_at", ["at"], unique=False)

    with op.batch_alter_table("monitoring_hours", schema=None) as batch_op:
        batch_op.create_index("ix_monitoring_hours_hour_at", ["hour_at"], unique=False)
        batch_op.drop_constraint(batch_op.f("fk_monitoring_hours_server_id"), type_="foreignkey")

    with op.batch_alter_table("monitoring_logs", schema=None) as batch_op:
        batch_op.alter_column("server_id", existing_type=Id, nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM monitoring_logs WHERE server_id IS NULL")
    op.execute("DELETE FROM monitoring_hours WHERE server_id = 0")
    with op.batch_alter_table("monitoring_logs", schema=None) as batch_op:
        batch_op.alter_column("server_id", existing_type=Id, nullable=False)

    with op.batch_alter_table("monitoring_hours", schema=None) as batch_op:
        batch_op.create_foreign_key(
            batch_op.f("fk_monitoring_hours_server_id"), "servers", ["server_id"], ["id"]
        )
        batch_op.drop_index("ix_monitoring_hours_hour_at")

    with op.batch_alter_table("monitoring_fives", schema=None) as batch_op:
        batch_op.drop_index("ix_monitoring_fives_at")

    op.drop_table("monitoring_fives")
