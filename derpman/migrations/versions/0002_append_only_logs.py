"""Let the database itself refuse to change or remove rows of the operation log.

A migration that makes `system_logs` anew (SQLite's batch mode does) must make these triggers anew.

Revision ID: 0002
Revises: 0001
"""

import logging

from alembic import op
from sqlalchemy.exc import DBAPIError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TEXT = "system_logs rows are never changed or removed"
NEEDS_SUPER = 1419
"""MySQL with a binary log wants log_bin_trust_function_creators=1 or SUPER for triggers."""

log = logging.getLogger(__name__)


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    if dialect == "postgresql":
        op.execute(
            "CREATE FUNCTION refuse_system_log_change() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{TEXT}'; END $$"
        )
    for verb in ("UPDATE", "DELETE"):
        statement = f"CREATE TRIGGER system_logs_no_{verb.lower()} BEFORE {verb} ON system_logs "
        if dialect == "sqlite":
            op.execute(f"{statement} BEGIN SELECT RAISE(ABORT, '{TEXT}'); END")
        elif dialect == "postgresql":
            op.execute(f"{statement} FOR EACH ROW EXECUTE FUNCTION refuse_system_log_change()")
        else:
            _create_on_mysql(
                f"{statement} FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{TEXT}'"
            )


def _create_on_mysql(statement: str) -> None:
    try:
        op.execute(statement)
    except DBAPIError as error:
        if getattr(error.orig, "args", (0,))[0] != NEEDS_SUPER:
            raise
        log.warning(
            "MySQL does not let this account make triggers: set "
            "log_bin_trust_function_creators=1 and migrate again from 0001, "
            "or system_logs is protected by the application alone"
        )


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    for verb in ("update", "delete"):
        on_table = " ON system_logs" if dialect == "postgresql" else ""
        op.execute(f"DROP TRIGGER IF EXISTS system_logs_no_{verb}{on_table}")
    if dialect == "postgresql":
        op.execute("DROP FUNCTION refuse_system_log_change()")
