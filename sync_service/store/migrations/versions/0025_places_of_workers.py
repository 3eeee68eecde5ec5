"""places of workers

Revision ID: 0025
Revises: 0024
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0025"
down_revision: str | None = "0024"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring the schema one step forward."""
    with op.batch_alter_table("sync_request", schema=None) as batch_op:
        batch_op.add_column(sa.Column("placed_token", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("zuora_lease", schema=None) as batch_op:
        batch_op.add_column(sa.Column("calls", sa.Integer(), server_default="1", nullable=False))
    with op.batch_alter_table("zuora_limit", schema=None) as batch_op:
        batch_op.add_column(sa.Column("wished_until", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Take the step back."""
    with op.batch_alter_table("zuora_limit", schema=None) as batch_op:
        batch_op.drop_column("wished_until")
    with op.batch_alter_table("zuora_lease", schema=None) as batch_op:
        batch_op.drop_column("calls")
    with op.batch_alter_table("sync_request", schema=None) as batch_op:
        batch_op.drop_column("placed_token")
