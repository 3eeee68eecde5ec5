"""concurrency that Zuora reports

Revision ID: 0022
Revises: 0021
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring the schema one step forward."""
    with op.batch_alter_table("zuora_limit", schema=None) as batch_op:
        batch_op.add_column(sa.Column("reported", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Take the step back."""
    with op.batch_alter_table("zuora_limit", schema=None) as batch_op:
        batch_op.drop_column("reported")
