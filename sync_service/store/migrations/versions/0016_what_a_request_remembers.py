"""what a request remembers

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


_NAME = """INSERT INTO subscription_alias (alias, number) VALUES (NEW.zuora_id, NEW.number)
ON CONFLICT (alias) DO UPDATE SET number = excluded.number WHERE subscription_alias.number <> excluded.number;"""


def upgrade() -> None:
    """Bring the schema one step forward."""
    with op.batch_alter_table("sync_request", schema=None) as batch_op:
        batch_op.add_column(sa.Column("equal_from", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("compared_at", sa.BigInteger(), nullable=True))

    # Each version's id in Zuora stays a name of its number; the code that writes the link cannot forget it.
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"CREATE TRIGGER zuora_link_name_insert AFTER INSERT ON zuora_link BEGIN {_NAME} END")
        op.execute(
            "CREATE TRIGGER zuora_link_name_update AFTER UPDATE OF zuora_id ON zuora_link"
            f" WHEN NEW.zuora_id <> OLD.zuora_id BEGIN {_NAME} END"
        )
    else:
        op.execute(
            "CREATE FUNCTION zuora_link_name() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN {_NAME} RETURN NULL; END $$"
        )
        call = "EXECUTE FUNCTION zuora_link_name()"
        op.execute(f"CREATE TRIGGER zuora_link_name_insert AFTER INSERT ON zuora_link FOR EACH ROW {call}")
        op.execute(
            "CREATE TRIGGER zuora_link_name_update AFTER UPDATE OF zuora_id ON zuora_link FOR EACH ROW"
            f" WHEN (NEW.zuora_id <> OLD.zuora_id) {call}"
        )


def downgrade() -> None:
    """Take the step back."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER zuora_link_name_update")
        op.execute("DROP TRIGGER zuora_link_name_insert")
    else:
        op.execute("DROP TRIGGER zuora_link_name_update ON zuora_link")
        op.execute("DROP TRIGGER zuora_link_name_insert ON zuora_link")
        op.execute("DROP FUNCTION zuora_link_name()")
    with op.batch_alter_table("sync_request", schema=None) as batch_op:
        batch_op.drop_column("compared_at")
        batch_op.drop_column("equal_from")
