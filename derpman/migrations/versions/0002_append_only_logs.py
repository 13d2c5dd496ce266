"""Let the database itself refuse to change or remove rows of the operation log and the ledger.

A migration that makes one of these tables anew (SQLite's batch mode does) must make its triggers
anew.

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

TABLES = ("system_logs", "journal_entries", "ledger_transfers")
RETIRED = "(SELECT COALESCE(MAX(retired_until), 0) FROM log_chain)"
"""Rows of the operation log up to this id were retired: removing them is recorded and sealed."""
NEEDS_SUPER = 1419
"""MySQL with a binary log wants log_bin_trust_function_creators=1 or SUPER for triggers."""

log = logging.getLogger(__name__)


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for table in TABLES:
        text = f"{table} rows are never changed or removed"
        for verb in ("UPDATE", "DELETE"):
            is_kept = (
                f"OLD.id > {RETIRED}" if (table, verb) == ("system_logs", "DELETE") else "1 = 1"
            )
            name = f"{table}_no_{verb.lower()}"
            statement = f"CREATE TRIGGER {name} BEFORE {verb} ON {table} "
            if dialect == "sqlite":
                op.execute(f"{statement} WHEN {is_kept} BEGIN SELECT RAISE(ABORT, '{text}'); END")
            elif dialect == "postgresql":
                op.execute(
                    f"CREATE FUNCTION refuse_{name}() RETURNS trigger LANGUAGE plpgsql AS "
                    f"$$ BEGIN IF {is_kept} THEN RAISE EXCEPTION '{text}'; END IF; "
                    "RETURN OLD; END $$"
                )
                op.execute(f"{statement} FOR EACH ROW EXECUTE FUNCTION refuse_{name}()")
            else:
                _create_on_mysql(
                    f"{statement} FOR EACH ROW IF {is_kept} THEN "
                    f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{text}'; END IF"
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
            "or the operation log and the ledger are protected by the application alone"
        )


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    for table in TABLES:
        for verb in ("update", "delete"):
            on_table = f" ON {table}" if dialect == "postgresql" else ""
            op.execute(f"DROP TRIGGER IF EXISTS {table}_no_{verb}{on_table}")
            if dialect == "postgresql":
                op.execute(f"DROP FUNCTION refuse_{table}_no_{verb}()")
