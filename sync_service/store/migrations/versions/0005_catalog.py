"""catalog

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text
from sqlalchemy.dialects import postgresql

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring the schema one step forward."""
    op.create_table(
        "limio_catalog_item",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("record_type", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("changed", sa.Text(), nullable=False),
        sa.Column(
            "document", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", "version", name=op.f("pk_limio_catalog_item")),
    )
    op.create_table(
        "limio_product",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("zuora_product_id", sa.Text(), nullable=True),
        sa.Column("changed", sa.Text(), nullable=False),
        sa.Column(
            "document", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_limio_product")),
    )
    op.create_table(
        "zuora_rate_plan",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("product_name", sa.Text(), nullable=False),
        sa.Column("since", sa.Date(), nullable=True),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column(
            "charges", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("read_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_zuora_rate_plan")),
    )
    with op.batch_alter_table("zuora_rate_plan", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_zuora_rate_plan_product_id"), ["product_id"], unique=False)


def downgrade() -> None:
    """Take the step back."""
    with op.batch_alter_table("zuora_rate_plan", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_zuora_rate_plan_product_id"))

    op.drop_table("zuora_rate_plan")
    op.drop_table("limio_product")
    op.drop_table("limio_catalog_item")
