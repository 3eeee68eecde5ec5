"""orders

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def _permit_kinds(*kinds: str) -> None:
    """Let the queue hold rows of these kinds and no others."""
    named = ", ".join(f"'{kind}'" for kind in kinds)
    with op.batch_alter_table("sync_request", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_sync_request_kind"), type_="check")
        batch_op.create_check_constraint(batch_op.f("ck_sync_request_kind"), f"kind IN ({named})")


def upgrade() -> None:
    """Bring the schema one step forward."""
    _permit_kinds("subscription", "alias", "account", "order")
    op.create_table(
        "limio_gift_code",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("created", sa.Text(), nullable=True),
        sa.Column("updated", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column(
            "document", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("synced_at", sa.BigInteger(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limio_gift_code")),
        sa.UniqueConstraint("code", name=op.f("uq_limio_gift_code_code")),
    )
    with op.batch_alter_table("limio_gift_code", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_limio_gift_code_owner"), ["owner"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_gift_code_subscription_id"), ["subscription_id"], unique=False)

    op.create_table(
        "limio_process",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("created", sa.Text(), nullable=True),
        sa.Column("updated", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column(
            "document", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("synced_at", sa.BigInteger(), nullable=True),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limio_process")),
    )
    with op.batch_alter_table("limio_process", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_limio_process_order_id"), ["order_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_process_owner"), ["owner"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_process_subscription_id"), ["subscription_id"], unique=False)

    op.create_table(
        "order_request",
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_sha256", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client", "key", name=op.f("pk_order_request")),
    )
    with op.batch_alter_table("order_request", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_order_request_at"), ["at"], unique=False)

    op.create_table(
        "order_step",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('sent', 'answered', 'again', 'skipped', 'refused')", name=op.f("ck_order_step_state")
        ),
        sa.PrimaryKeyConstraint("order_id", "n", name=op.f("pk_order_step")),
    )
    with op.batch_alter_table("order_step", schema=None) as batch_op:
        batch_op.create_index(
            "ix_order_step_sent",
            ["sent_at"],
            unique=False,
            sqlite_where=sa.text("state = 'sent'"),
            postgresql_where=sa.text("state = 'sent'"),
        )

    op.create_table(
        "order_work",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("order_type", sa.Text(), nullable=False),
        sa.Column("names", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("subscription_number", sa.Text(), nullable=True),
        sa.Column("client", sa.Text(), nullable=True),
        sa.Column("may_refund", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("steps", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=True),
        sa.Column("replanned", sa.Boolean(), nullable=False),
        sa.Column(
            "choices", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("given_up_by", sa.Text(), nullable=True),
        sa.Column("notes", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False),
        sa.Column("submitted_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('submitted', 'running', 'waiting', 'held', 'complete', 'failed')",
            name=op.f("ck_order_work_state"),
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_order_work")),
        sa.UniqueConstraint("lane", "seq", name=op.f("uq_order_work_lane_seq")),
        sa.UniqueConstraint("number", name=op.f("uq_order_work_number")),
    )
    with op.batch_alter_table("order_work", schema=None) as batch_op:
        batch_op.create_index(
            "ix_order_work_open",
            ["lane", "seq"],
            unique=False,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.create_index("ix_order_work_state", ["state", "submitted_at"], unique=False)
        batch_op.create_index("ix_order_work_subscription", ["subscription_number", "submitted_at"], unique=False)

    with op.batch_alter_table("ask", schema=None) as batch_op:
        batch_op.add_column(sa.Column("question", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take the step back."""
    op.execute("DELETE FROM sync_request WHERE kind = 'order'")
    _permit_kinds("subscription", "alias", "account")
    with op.batch_alter_table("ask", schema=None) as batch_op:
        batch_op.drop_column("question")

    with op.batch_alter_table("order_work", schema=None) as batch_op:
        batch_op.drop_index("ix_order_work_subscription")
        batch_op.drop_index("ix_order_work_state")
        batch_op.drop_index(
            "ix_order_work_open", sqlite_where=sa.text("ended_at IS NULL"), postgresql_where=sa.text("ended_at IS NULL")
        )

    op.drop_table("order_work")
    with op.batch_alter_table("order_step", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_order_step_sent", sqlite_where=sa.text("state = 'sent'"), postgresql_where=sa.text("state = 'sent'")
        )

    op.drop_table("order_step")
    with op.batch_alter_table("order_request", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_order_request_at"))

    op.drop_table("order_request")
    with op.batch_alter_table("limio_process", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_limio_process_subscription_id"))
        batch_op.drop_index(batch_op.f("ix_limio_process_owner"))
        batch_op.drop_index(batch_op.f("ix_limio_process_order_id"))

    op.drop_table("limio_process")
    with op.batch_alter_table("limio_gift_code", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_limio_gift_code_subscription_id"))
        batch_op.drop_index(batch_op.f("ix_limio_gift_code_owner"))

    op.drop_table("limio_gift_code")
