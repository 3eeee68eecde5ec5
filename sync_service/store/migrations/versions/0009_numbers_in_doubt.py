"""numbers in doubt

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text
from sqlalchemy.dialects import postgresql

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql")


def upgrade() -> None:
    """Bring the schema one step forward."""
    with op.batch_alter_table("zuora_limit", schema=None) as batch_op:
        batch_op.add_column(sa.Column("doubtful", _DOCUMENT, server_default="[]", nullable=False))
        batch_op.add_column(sa.Column("paused_by", sa.Text(), nullable=True))
        batch_op.drop_column("doubts")


def downgrade() -> None:
    """Take the step back."""
    with op.batch_alter_table("zuora_limit", schema=None) as batch_op:
        batch_op.add_column(sa.Column("doubts", sa.Integer(), server_default="0", nullable=False))
        batch_op.drop_column("paused_by")
        batch_op.drop_column("doubtful")
