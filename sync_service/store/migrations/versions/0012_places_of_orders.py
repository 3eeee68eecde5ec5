"""places of orders

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring the schema one step forward."""
    with op.batch_alter_table("sync_request", schema=None) as batch_op:
        batch_op.add_column(sa.Column("ordering_token", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("zuora_lease", schema=None) as batch_op:
        batch_op.add_column(sa.Column("ordering", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    """Take the step back."""
    with op.batch_alter_table("zuora_lease", schema=None) as batch_op:
        batch_op.drop_column("ordering")

    with op.batch_alter_table("sync_request", schema=None) as batch_op:
        batch_op.drop_column("ordering_token")
