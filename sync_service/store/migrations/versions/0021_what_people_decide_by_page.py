"""what people decide by page

Revision ID: 0021
Revises: 0020
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring the schema one step forward."""
    with op.batch_alter_table("backfill_wish", schema=None) as batch_op:
        batch_op.add_column(sa.Column("is_dry_run", sa.Boolean(), server_default=sa.text("(false)"), nullable=False))

    with op.batch_alter_table("oauth_client", schema=None) as batch_op:
        batch_op.add_column(sa.Column("secret_previous_hash", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("previous_until", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("used_at", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("webhook_endpoint", schema=None) as batch_op:
        batch_op.add_column(sa.Column("disabled_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("test_wanted_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("tested_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("test_status", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("test_error", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take the step back."""
    with op.batch_alter_table("webhook_endpoint", schema=None) as batch_op:
        batch_op.drop_column("test_error")
        batch_op.drop_column("test_status")
        batch_op.drop_column("tested_at")
        batch_op.drop_column("test_wanted_at")
        batch_op.drop_column("disabled_at")

    with op.batch_alter_table("oauth_client", schema=None) as batch_op:
        batch_op.drop_column("used_at")
        batch_op.drop_column("previous_until")
        batch_op.drop_column("secret_previous_hash")

    with op.batch_alter_table("backfill_wish", schema=None) as batch_op:
        batch_op.drop_column("is_dry_run")
