"""Let distributors sell: terms, applications, commissions, whose serials and customers are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from derpman.kit.types import Id, UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "class_rates",
        sa.Column("id", Id, nullable=False),
        sa.Column("level", sa.String(length=32), nullable=False),
        sa.Column("rate_bp", sa.Integer(), nullable=False),
        sa.Column("actor_id", Id, nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_class_rates")),
    )
    with op.batch_alter_table("class_rates", schema=None) as batch_op:
        batch_op.create_index("ix_class_rates_level_id", ["level", "id"], unique=False)

    op.create_table(
        "distributor_terms",
        sa.Column("id", Id, nullable=False),
        sa.Column("user_id", Id, nullable=False),
        sa.Column("level", sa.String(length=32), nullable=False),
        sa.Column("may_generate", sa.Boolean(), nullable=False),
        sa.Column("credit_limit_fen", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", Id, nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_distributor_terms_user_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_distributor_terms")),
    )
    with op.batch_alter_table("distributor_terms", schema=None) as batch_op:
        batch_op.create_index("ix_distributor_terms_user_id_id", ["user_id", "id"], unique=False)

    op.create_table(
        "distributor_applications",
        sa.Column("id", Id, nullable=False),
        sa.Column("user_id", Id, nullable=False),
        sa.Column("plan_id", Id, nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("order_id", Id, nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("decided_by", Id, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_distributor_applications_order_id")
        ),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["plans.id"], name=op.f("fk_distributor_applications_plan_id")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_distributor_applications_user_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_distributor_applications")),
    )
    with op.batch_alter_table("distributor_applications", schema=None) as batch_op:
        batch_op.create_index(
            "ix_distributor_applications_status_id", ["status", "id"], unique=False
        )
        batch_op.create_index(
            "ix_distributor_applications_user_id_id", ["user_id", "id"], unique=False
        )

    op.create_table(
        "distributor_statements",
        sa.Column("id", Id, nullable=False),
        sa.Column("user_id", Id, nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("opening_fen", sa.BigInteger(), nullable=False),
        sa.Column("earned_fen", sa.BigInteger(), nullable=False),
        sa.Column("taken_back_fen", sa.BigInteger(), nullable=False),
        sa.Column("to_credit_fen", sa.BigInteger(), nullable=False),
        sa.Column("to_wallet_fen", sa.BigInteger(), nullable=False),
        sa.Column("closing_fen", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", Id, nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["journal_entries.id"], name=op.f("fk_distributor_statements_entry_id")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_distributor_statements_user_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_distributor_statements")),
        sa.UniqueConstraint(
            "user_id", "month", name=op.f("uq_distributor_statements_user_id_month")
        ),
    )
    op.create_table(
        "commissions",
        sa.Column("id", Id, nullable=False),
        sa.Column("user_id", Id, nullable=False),
        sa.Column("order_id", Id, nullable=False),
        sa.Column("entry_id", Id, nullable=False),
        sa.Column("base_fen", sa.BigInteger(), nullable=False),
        sa.Column("rate_bp", sa.Integer(), nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=False),
        sa.Column("booked_on", sa.Date(), nullable=False),
        sa.Column("statement_id", Id, nullable=True),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["journal_entries.id"], name=op.f("fk_commissions_entry_id")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_commissions_order_id")),
        sa.ForeignKeyConstraint(
            ["statement_id"],
            ["distributor_statements.id"],
            name=op.f("fk_commissions_statement_id"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_commissions_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commissions")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_commissions_entry_id")),
    )
    with op.batch_alter_table("commissions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_commissions_order_id"), ["order_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_commissions_statement_id"), ["statement_id"], unique=False
        )
        batch_op.create_index(
            "ix_commissions_user_id_statement_id", ["user_id", "statement_id"], unique=False
        )

    with op.batch_alter_table("serial_numbers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("order_id", Id, nullable=True))
        batch_op.add_column(sa.Column("distributor_id", Id, nullable=True))
        batch_op.create_index(
            batch_op.f("ix_serial_numbers_distributor_id"), ["distributor_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_serial_numbers_order_id"), ["order_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_serial_numbers_order_id"), "orders", ["order_id"], ["id"]
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_serial_numbers_distributor_id"), "users", ["distributor_id"], ["id"]
        )

    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.add_column(sa.Column("distributor_id", Id, nullable=True))
        batch_op.create_index(
            batch_op.f("ix_users_distributor_id"), ["distributor_id"], unique=False
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_users_distributor_id"), "users", ["distributor_id"], ["id"]
        )


def downgrade() -> None:
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_users_distributor_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_users_distributor_id"))
        batch_op.drop_column("distributor_id")

    with op.batch_alter_table("serial_numbers", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_serial_numbers_distributor_id"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_serial_numbers_order_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_serial_numbers_order_id"))
        batch_op.drop_index(batch_op.f("ix_serial_numbers_distributor_id"))
        batch_op.drop_column("distributor_id")
        batch_op.drop_column("order_id")

    with op.batch_alter_table("commissions", schema=None) as batch_op:
        batch_op.drop_index("ix_commissions_user_id_statement_id")
        batch_op.drop_index(batch_op.f("ix_commissions_statement_id"))
        batch_op.drop_index(batch_op.f("ix_commissions_order_id"))

    op.drop_table("commissions")
    op.drop_table("distributor_statements")
    with op.batch_alter_table("distributor_applications", schema=None) as batch_op:
        batch_op.drop_index("ix_distributor_applications_user_id_id")
        batch_op.drop_index("ix_distributor_applications_status_id")

    op.drop_table("distributor_applications")
    with op.batch_alter_table("distributor_terms", schema=None) as batch_op:
        batch_op.drop_index("ix_distributor_terms_user_id_id")

    op.drop_table("distributor_terms")
    with op.batch_alter_table("class_rates", schema=None) as batch_op:
        batch_op.drop_index("ix_class_rates_level_id")

    op.drop_table("class_rates")
