"""notifications of the inbox

Revision ID: 0018
Revises: 0017
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql")
_PENDING = sa.text("state = 'pending'")


def upgrade() -> None:
    """Bring the schema one step forward."""
    op.create_table(
        "notification_choice",
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("kinds", _DOCUMENT, nullable=False),
        sa.Column("by_mail", sa.Boolean(), nullable=False),
        sa.Column("webhook", sa.Text(), nullable=True),
        sa.Column("webhook_form", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("email", name=op.f("pk_notification_choice")),
    )
    op.create_table(
        "inbox_seen",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.Column("told_count", sa.Integer(), nullable=False),
        sa.Column("missing_since", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_inbox_seen")),
    )
    op.create_table(
        "notification",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("recovered", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("way IN ('mail', 'webhook')", name=op.f("ck_notification_way")),
        sa.CheckConstraint("state IN ('pending', 'sent', 'dead')", name=op.f("ck_notification_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification")),
    )
    op.create_index("ix_notification_sent", "notification", ["email", "way", "state", "sent_at"])
    op.create_index("ix_notification_due", "notification", ["due_at"], sqlite_where=_PENDING, postgresql_where=_PENDING)


def downgrade() -> None:
    """Take the step back."""
    op.drop_table("notification")
    op.drop_table("inbox_seen")
    op.drop_table("notification_choice")
