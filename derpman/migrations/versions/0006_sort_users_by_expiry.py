"""Sort users by when their rentals end."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index("ix_users_rental_expiry", "users", ["rental_expiry"])


def downgrade() -> None:
    op.drop_index("ix_users_rental_expiry", "users")
