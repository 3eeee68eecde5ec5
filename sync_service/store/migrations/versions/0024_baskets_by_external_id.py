"""baskets by external id

Revision ID: 0024
Revises: 0023
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring the schema one step forward."""
    with op.batch_alter_table("basket", schema=None) as batch_op:
        batch_op.create_index(
            "ix_basket_external_id",
            ["partner_org", "external_id"],
            sqlite_where=sa.text("external_id IS NOT NULL"),
            postgresql_where=sa.text("external_id IS NOT NULL"),
        )


def downgrade() -> None:
    """Take the step back."""
    with op.batch_alter_table("basket", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_basket_external_id",
            sqlite_where=sa.text("external_id IS NOT NULL"),
            postgresql_where=sa.text("external_id IS NOT NULL"),
        )
