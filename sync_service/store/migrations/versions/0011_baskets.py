"""baskets

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text
from sqlalchemy.dialects import postgresql

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring the schema one step forward."""
    op.create_table(
        "basket",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("partner_org", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("wanted", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False),
        sa.Column("seen", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False),
        sa.Column(
            "document", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'completed', 'superseded')", name=op.f("ck_basket_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_basket")),
    )
    with op.batch_alter_table("basket", schema=None) as batch_op:
        batch_op.create_index(
            "ix_basket_active",
            ["partner_org", "subject", "updated_at"],
            unique=False,
            sqlite_where=sa.text("state = 'active'"),
            postgresql_where=sa.text("state = 'active'"),
        )
        batch_op.create_index(batch_op.f("ix_basket_expires_at"), ["expires_at"], unique=False)

    with op.batch_alter_table("order_work", schema=None) as batch_op:
        batch_op.add_column(sa.Column("payer_account", sa.Text(), nullable=True))

    # In place: SQLite would lose the triggers of a table that is made anew, and the search with them.
    op.add_column("zuora_link", sa.Column("cancel_set", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    """Take the step back."""
    op.drop_column("zuora_link", "cancel_set")

    with op.batch_alter_table("order_work", schema=None) as batch_op:
        batch_op.drop_column("payer_account")

    with op.batch_alter_table("basket", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_basket_expires_at"))
        batch_op.drop_index(
            "ix_basket_active", sqlite_where=sa.text("state = 'active'"), postgresql_where=sa.text("state = 'active'")
        )

    op.drop_table("basket")
