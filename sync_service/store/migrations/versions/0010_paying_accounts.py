"""paying accounts

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring the schema one step forward."""
    with op.batch_alter_table("zuora_link", schema=None) as batch_op:
        batch_op.add_column(sa.Column("payer_id", sa.Text(), nullable=True))
        batch_op.create_index(batch_op.f("ix_zuora_link_payer_id"), ["payer_id"], unique=False)


def downgrade() -> None:
    """Take the step back."""
    with op.batch_alter_table("zuora_link", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_zuora_link_payer_id"))
        batch_op.drop_column("payer_id")
