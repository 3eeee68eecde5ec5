"""partner organisations

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring the schema one step forward."""
    op.create_table(
        "partner_org",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("zuora_account_id", sa.Text(), nullable=False),
        sa.Column("is_invoice_owner", sa.Boolean(), nullable=False),
        sa.Column("salesforce_account_id", sa.Text(), nullable=True),
        sa.Column("logo", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partner_org")),
        sa.UniqueConstraint("zuora_account_id", name=op.f("uq_partner_org_zuora_account_id")),
    )
    op.create_table(
        "partner_user",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("partner_org", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_folded", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partner_user")),
        sa.UniqueConstraint("email_folded", name=op.f("uq_partner_user_email_folded")),
    )
    with op.batch_alter_table("partner_user", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_partner_user_partner_org"), ["partner_org"], unique=False)

    with op.batch_alter_table("limio_customer", schema=None) as batch_op:
        batch_op.add_column(sa.Column("partner_org", sa.Text(), nullable=True))
        batch_op.create_index(
            "ix_limio_customer_partner_org",
            ["partner_org", "id"],
            unique=False,
            sqlite_where=sa.text("partner_org IS NOT NULL"),
            postgresql_where=sa.text("partner_org IS NOT NULL"),
        )

    with op.batch_alter_table("limio_identity", schema=None) as batch_op:
        batch_op.add_column(sa.Column("partner_org", sa.Text(), nullable=True))
        batch_op.create_index(
            "ix_limio_identity_partner_org",
            ["partner_org", "id"],
            unique=False,
            sqlite_where=sa.text("partner_org IS NOT NULL"),
            postgresql_where=sa.text("partner_org IS NOT NULL"),
        )

    with op.batch_alter_table("limio_order", schema=None) as batch_op:
        batch_op.add_column(sa.Column("partner_org", sa.Text(), nullable=True))
        batch_op.create_index(
            "ix_limio_order_partner_org",
            ["partner_org", "id"],
            unique=False,
            sqlite_where=sa.text("partner_org IS NOT NULL"),
            postgresql_where=sa.text("partner_org IS NOT NULL"),
        )

    with op.batch_alter_table("limio_subscription", schema=None) as batch_op:
        batch_op.add_column(sa.Column("partner_org", sa.Text(), nullable=True))
        batch_op.create_index(
            "ix_limio_subscription_partner_org",
            ["partner_org", "id"],
            unique=False,
            sqlite_where=sa.text("partner_org IS NOT NULL"),
            postgresql_where=sa.text("partner_org IS NOT NULL"),
        )

    with op.batch_alter_table("oauth_client", schema=None) as batch_op:
        batch_op.add_column(sa.Column("partner_org", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take the step back."""
    with op.batch_alter_table("oauth_client", schema=None) as batch_op:
        batch_op.drop_column("partner_org")

    with op.batch_alter_table("limio_subscription", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_limio_subscription_partner_org",
            sqlite_where=sa.text("partner_org IS NOT NULL"),
            postgresql_where=sa.text("partner_org IS NOT NULL"),
        )
        batch_op.drop_column("partner_org")

    with op.batch_alter_table("limio_order", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_limio_order_partner_org",
            sqlite_where=sa.text("partner_org IS NOT NULL"),
            postgresql_where=sa.text("partner_org IS NOT NULL"),
        )
        batch_op.drop_column("partner_org")

    with op.batch_alter_table("limio_identity", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_limio_identity_partner_org",
            sqlite_where=sa.text("partner_org IS NOT NULL"),
            postgresql_where=sa.text("partner_org IS NOT NULL"),
        )
        batch_op.drop_column("partner_org")

    with op.batch_alter_table("limio_customer", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_limio_customer_partner_org",
            sqlite_where=sa.text("partner_org IS NOT NULL"),
            postgresql_where=sa.text("partner_org IS NOT NULL"),
        )
        batch_op.drop_column("partner_org")

    with op.batch_alter_table("partner_user", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_partner_user_partner_org"))

    op.drop_table("partner_user")
    op.drop_table("partner_org")
