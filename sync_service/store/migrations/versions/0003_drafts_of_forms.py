"""drafts of forms

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring the schema one step forward."""
    op.create_table(
        "admin_draft",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("kept_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_admin_draft")),
    )
    with op.batch_alter_table("admin_draft", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_admin_draft_kept_at"), ["kept_at"], unique=False)


def downgrade() -> None:
    """Take the step back."""
    with op.batch_alter_table("admin_draft", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_admin_draft_kept_at"))

    op.drop_table("admin_draft")
