"""figures over time

Counted by the scheduler, which begins with the last month of the history.

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text
from sqlalchemy.dialects import postgresql

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring the schema one step forward."""
    op.create_table(
        "figure",
        sa.Column("span", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column(
            "outcomes", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("drift", sa.Integer(), nullable=False),
        sa.Column("took", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False),
        sa.CheckConstraint("span IN ('minute', 'hour')", name=op.f("ck_figure_span")),
        sa.PrimaryKeyConstraint("span", "at", name=op.f("pk_figure")),
    )


def downgrade() -> None:
    """Take the step back."""
    op.drop_table("figure")
