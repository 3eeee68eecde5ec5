"""log in of partners

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring the schema one step forward."""
    op.create_table(
        "partner_code",
        sa.Column("browser_hash", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("browser_hash", name=op.f("pk_partner_code")),
    )
    with op.batch_alter_table("partner_code", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_partner_code_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "partner_session",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_partner_session")),
    )
    with op.batch_alter_table("partner_session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_partner_session_seen_at"), ["seen_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_partner_session_user_id"), ["user_id"], unique=False)


def downgrade() -> None:
    """Take the step back."""
    with op.batch_alter_table("partner_session", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_partner_session_user_id"))
        batch_op.drop_index(batch_op.f("ix_partner_session_seen_at"))

    op.drop_table("partner_session")
    with op.batch_alter_table("partner_code", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_partner_code_expires_at"))

    op.drop_table("partner_code")
